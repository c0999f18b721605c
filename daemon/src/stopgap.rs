//! Stands in for `compiler::remote` until that is there; to be deleted then.

use std::ffi::{OsStr, OsString};

use compiler::{Family, Language, Product};

pub(crate) struct DaemonJob {
    pub(crate) source: usize,
    output: Option<usize>,
    pub(crate) language: Language,
    pub(crate) product: Product,
    pub(crate) unknown: Option<usize>,
}

impl DaemonJob {
    pub(crate) fn args_for(
        &self,
        args: &[OsString],
        source: &OsStr,
        output: &OsStr,
    ) -> Vec<OsString> {
        let mut words = args.to_vec();
        words[self.source] = source.to_owned();
        match self.output {
            Some(at) => words[at] = output.to_owned(),
            None => words.extend(["-o".into(), output.to_owned()]),
        }
        words
    }
}

pub(crate) fn check(_: Family, _: bool, args: &[OsString]) -> Result<DaemonJob, String> {
    let (mut source, mut output, mut product) = (None, None, None);
    let mut at = 0;
    while at < args.len() {
        let word = args[at].as_encoded_bytes();
        match word {
            b"-o" | b"-x" | b"-target" | b"-arch" | b"--param" | b"-iquote" | b"-isysroot" => {
                if word == b"-o" {
                    output = Some(at + 1).filter(|at| *at < args.len());
                }
                at += 1;
            }
            b"-c" => product = Some(Product::Object),
            b"-S" => product = Some(Product::Assembly),
            b"-E" | b"-wrapper" | b"-B" => {
                return Err(format!("option not allowed here: {}", args[at].display()));
            }
            _ if [&b"-fplugin"[..], b"-specs", b"--specs", b"@", b"-M", b"-B"]
                .iter()
                .any(|bad| word.starts_with(bad)) =>
            {
                return Err(format!("option not allowed here: {}", args[at].display()));
            }
            _ if compiler::names::looks_like_source(word) && source.replace(at).is_some() => {
                return Err("second source named".into());
            }
            _ => {}
        }
        at += 1;
    }
    let source = source.ok_or("no source named")?;
    let name = args[source].as_encoded_bytes();
    let suffix = name.rsplit(|byte| *byte == b'.').next().unwrap_or(b"");
    let language = match suffix {
        b"c" | b"i" => Language::C,
        b"m" | b"mi" => Language::ObjC,
        b"mm" | b"mii" | b"M" => Language::ObjCxx,
        _ => Language::Cxx,
    };
    let product = product.ok_or("neither -c nor -S given")?;
    Ok(DaemonJob {
        source,
        output,
        language,
        product,
        unknown: None,
    })
}
