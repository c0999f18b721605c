//! Is what a daemon sent what the local compiler would have made?
//!
//! The classic silent failure of distcc farms is a host with another compiler version or for another machine.  An object says
//! both of itself: in its ELF header and in its `.comment`.

use compiler::{Job, Product, object, target};

use crate::about::About;

/// What is wrong with an object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Misfit {
    #[error("the result is empty")]
    Empty,
    #[error("the result is no object file")]
    NoObject,
    #[error("the object is for another machine")]
    OtherMachine,
    #[error("the object was made by another compiler: {}", there.escape_ascii())]
    OtherCompiler { there: Vec<u8> },
    #[error("the object does not name the compiler that made it")]
    NamesNoCompiler,
}

impl Misfit {
    /// All that [`Misfit::code`] may say.
    pub(crate) const CODES: [&'static str; 4] = [
        "empty-object",
        "no-object",
        "object-for-other-machine",
        "object-of-other-compiler",
    ];

    /// The stable code that the journal holds.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Misfit::Empty => "empty-object",
            Misfit::NoObject => "no-object",
            Misfit::OtherMachine => "object-for-other-machine",
            Misfit::OtherCompiler { .. } | Misfit::NamesNoCompiler => "object-of-other-compiler",
        }
    }
}

/// Compares what came back for `job` with what `about` says of the compiler here.
pub(crate) fn fits(job: &Job<'_>, about: &About, bytes: &[u8]) -> Result<(), Misfit> {
    if bytes.is_empty() {
        return Err(Misfit::Empty);
    }
    let idents: Vec<&[u8]> = match job.product() {
        Product::Assembly => object::ident_of_assembly(bytes).into_iter().collect(),
        Product::Object if !job.expects_elf() => return Ok(()),
        Product::Object if !target::is_elf(&about.triple, &job.target_words()) => {
            // gcc spells its name into objects of other formats too; where it stands in them does not matter.
            return match memchr::memmem::find(bytes, &about.ident) {
                Some(_) => Ok(()),
                None => Err(Misfit::NamesNoCompiler),
            };
        }
        Product::Object => {
            let facts = object::inspect(bytes).map_err(|_| Misfit::NoObject)?;
            let words = job.target_words();
            let wanted = target::elf_of(&about.triple, &words);
            // For a target that is not in the table the compiler's name has to do.
            if wanted.is_some_and(|wanted| wanted != facts.header) {
                return Err(Misfit::OtherMachine);
            }
            facts.comments
        }
    };
    // Sources add remarks of their own (`#ident`).
    if idents.iter().any(|ident| **ident == about.ident) {
        return Ok(());
    }
    if let Some(there) = idents.iter().find(|ident| object::names_compiler(ident)) {
        return Err(Misfit::OtherCompiler {
            there: there.to_vec(),
        });
    }
    if job.expects_ident() {
        return Err(Misfit::NamesNoCompiler);
    }
    Ok(())
}
