//! Macros whose value cannot be known since a pragma changed options: gcc's `#pragma GCC target` and `optimize`.
//!
//! The compiler predefines others from there on, until the options are put back. Which ones it would have to be asked for each such text; so
//! all that may be among them are unknown, and conditions on them take both branches.

/// What a pragma does with options.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OptionsPragma {
    Target,
    Optimize,
    Push,
    Pop,
    Reset,
}

impl OptionsPragma {
    /// From what stands behind `#pragma GCC`.
    pub(crate) fn read(text: &[u8]) -> Option<OptionsPragma> {
        let part = |byte: &u8| !byte.is_ascii_alphanumeric() && *byte != b'_';
        let end = text.iter().position(part).unwrap_or(text.len());
        Some(match &text[..end] {
            b"target" => OptionsPragma::Target,
            b"optimize" => OptionsPragma::Optimize,
            b"push_options" => OptionsPragma::Push,
            b"pop_options" => OptionsPragma::Pop,
            b"reset_options" => OptionsPragma::Reset,
            _ => return None,
        })
    }
}

/// Which macros are in doubt.
#[derive(Debug, Default)]
pub(crate) struct Doubt {
    target: bool,
    optimize: bool,
    pushed: Vec<(bool, bool)>,
}

impl Doubt {
    pub(crate) fn heed(&mut self, pragma: OptionsPragma) {
        match pragma {
            OptionsPragma::Target => self.target = true,
            OptionsPragma::Optimize => self.optimize = true,
            OptionsPragma::Push => self.pushed.push((self.target, self.optimize)),
            OptionsPragma::Pop => {
                if let Some(before) = self.pushed.pop() {
                    (self.target, self.optimize) = before;
                }
            }
            OptionsPragma::Reset => (self.target, self.optimize) = (false, false),
        }
    }

    pub(crate) fn clear(&mut self) {
        *self = Doubt::default();
    }

    /// Is any macro in doubt?
    #[inline]
    pub(crate) fn is_any(&self) -> bool {
        self.target || self.optimize
    }

    /// Is the macro of this name?
    pub(crate) fn is_about(&self, name: &[u8]) -> bool {
        self.optimize && follows_optimization(name)
            || self.target && !follows_optimization(name) && may_follow_target(name)
    }
}

fn follows_optimization(name: &[u8]) -> bool {
    matches!(
        name,
        b"__OPTIMIZE__"
            | b"__OPTIMIZE_SIZE__"
            | b"__FAST_MATH__"
            | b"__FINITE_MATH_ONLY__"
            | b"__SUPPORT_SNAN__"
            | b"__ROUNDING_MATH__"
    )
}

/// `__AVX2__`, `__ARM_FEATURE_CRC32`: as processors' features are called, and nothing that every compiler has.
fn may_follow_target(name: &[u8]) -> bool {
    const OTHERS: &[&[u8]] = &[
        b"__ATOMIC",
        b"__BIGGEST",
        b"__BYTE_ORDER",
        b"__CHAR",
        b"__COUNTER",
        b"__DBL",
        b"__DEC",
        b"__DEPRECATED",
        b"__DISABLE_",
        b"__ELF",
        b"__EXCEPTIONS",
        b"__FLOAT_WORD",
        b"__FLT",
        b"__GCC_",
        b"__GNUC",
        b"__GXX",
        b"__HAVE_",
        b"__INT",
        b"__LDBL",
        b"__LONG",
        b"__LP64",
        b"__NO_INLINE",
        b"__OBJC",
        b"__ORDER",
        b"__PIC",
        b"__PIE",
        b"__PRAGMA",
        b"__PTRDIFF",
        b"__REGISTER",
        b"__SCHAR",
        b"__SHRT",
        b"__SIG_ATOMIC",
        b"__SIZE",
        b"__SSP",
        b"__STDC",
        b"__STRICT_ANSI",
        b"__UINT",
        b"__USER_LABEL",
        b"__USE_",
        b"__VERSION",
        b"__WCHAR",
        b"__WINT",
    ];
    let Some(rest) = name.strip_prefix(b"__") else {
        return false;
    };
    let guard = [
        &b"_H"[..],
        b"_H_",
        b"_H__",
        b"_HPP",
        b"_HPP__",
        b"_INCLUDED",
    ];
    rest.first().is_some_and(u8::is_ascii_uppercase)
        && rest
            .iter()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_')
        && !OTHERS.iter().any(|other| name.starts_with(other))
        && !guard.iter().any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubt_ends_where_options_are_put_back() {
        let mut doubt = Doubt::default();
        for pragma in ["push_options", "target(\"avx2\")"] {
            doubt.heed(OptionsPragma::read(pragma.as_bytes()).unwrap());
        }
        assert!(doubt.is_about(b"__AVX2__") && !doubt.is_about(b"__OPTIMIZE__"));
        for name in ["__x86_64__", "__GNUC__", "AVX2", "__FOO_H__", "__cplusplus"] {
            assert!(!doubt.is_about(name.as_bytes()), "{name}");
        }
        doubt.heed(OptionsPragma::read(b"pop_options").unwrap());
        assert!(!doubt.is_any());
        doubt.heed(OptionsPragma::read(b"optimize 3").unwrap());
        assert!(doubt.is_about(b"__OPTIMIZE__") && !doubt.is_about(b"__AVX2__"));
        doubt.heed(OptionsPragma::read(b"reset_options").unwrap());
        assert!(!doubt.is_any());
        assert_eq!(OptionsPragma::read(b"targets"), None);
    }
}
