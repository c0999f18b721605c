//! The languages that a source can be in, and how each is written as a suffix and after `-x`.

/// What the compiler takes a source for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Language {
    C,
    Cxx,
    ObjC,
    ObjCxx,
    /// `.cppm`, for clang: the interface of a C++ module.
    CxxModule,
    /// `.i`: C that is preprocessed already.
    PreprocessedC,
    PreprocessedCxx,
    PreprocessedObjC,
    PreprocessedObjCxx,
    /// `.s`.
    Assembler,
    /// `.S`, `.sx`: assembler that wants the preprocessor.
    AssemblerWithCpp,
}

use Language::*;

impl Language {
    pub const ALL: [Language; 11] = [
        C,
        Cxx,
        ObjC,
        ObjCxx,
        CxxModule,
        PreprocessedC,
        PreprocessedCxx,
        PreprocessedObjC,
        PreprocessedObjCxx,
        Assembler,
        AssemblerWithCpp,
    ];

    /// What gcc and clang call it after `-x`.
    pub fn x_name(self) -> &'static str {
        match self {
            C => "c",
            Cxx => "c++",
            ObjC => "objective-c",
            ObjCxx => "objective-c++",
            CxxModule => "c++-module",
            PreprocessedC => "cpp-output",
            PreprocessedCxx => "c++-cpp-output",
            PreprocessedObjC => "objective-c-cpp-output",
            PreprocessedObjCxx => "objective-c++-cpp-output",
            Assembler => "assembler",
            AssemblerWithCpp => "assembler-with-cpp",
        }
    }

    /// The language of this name after `-x`; `None` for those that no job can be in (`cuda`, `f95`, headers, …).
    pub fn from_x(name: &[u8]) -> Option<Language> {
        // The older names that gcc knows (`objc-cpp-output`) it remarks on, which nobody would do elsewhere.
        Language::ALL
            .into_iter()
            .find(|language| language.x_name().as_bytes() == name)
    }

    /// What it is after preprocessing; itself when there is nothing to preprocess.
    pub fn preprocessed(self) -> Language {
        match self {
            C => PreprocessedC,
            Cxx | CxxModule => PreprocessedCxx,
            ObjC => PreprocessedObjC,
            ObjCxx => PreprocessedObjCxx,
            AssemblerWithCpp => Assembler,
            other => other,
        }
    }

    /// Does it go through the preprocessor?
    pub fn wants_preprocessor(self) -> bool {
        self.preprocessed() != self
    }

    /// The suffix, without a dot, by which compilers and stock daemons know the preprocessed form of it.
    pub fn preprocessed_suffix(self) -> &'static str {
        match self.preprocessed() {
            PreprocessedCxx => "ii",
            PreprocessedObjC => "mi",
            PreprocessedObjCxx => "mii",
            Assembler => "s",
            _ => "i",
        }
    }

    pub fn is_assembler(self) -> bool {
        self.preprocessed() == Assembler
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_names_its_language() {
        for language in Language::ALL {
            assert_eq!(
                Language::from_x(language.x_name().as_bytes()),
                Some(language)
            );
        }
        assert_eq!(Language::from_x(b"cuda"), None);
        assert_eq!(Language::from_x(b"c-header"), None);
    }

    #[test]
    fn preprocessing_twice_equals_once() {
        for language in Language::ALL {
            let once = language.preprocessed();
            assert_eq!(once.preprocessed(), once);
            assert!(!once.wants_preprocessor());
        }
    }
}
