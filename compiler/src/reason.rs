//! Why a command runs here: one closed list, with a stable code and a sentence for each.

/// What a command that runs here does with this machine, for whoever hands out local slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Work {
    /// Compiles, assembles or links: takes a processor for a while.
    Compile,
    /// Runs the preprocessor and no more.
    Preprocess,
    /// Answers a question (`--version`, `-print-…`) or fails at once: takes no slot.
    Question,
}

macro_rules! reasons {
    ($($name:ident $code:literal $work:ident $sentence:literal;)*) => {
        /// Why a command has to run on this machine.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason {
            $(#[doc = $sentence] $name,)*
        }

        impl Reason {
            /// Every reason, in the order of their codes.
            pub fn all() -> &'static [Reason] {
                &[$(Reason::$name,)*]
            }

            /// The stable kebab-case code that the journal holds.
            pub fn code(self) -> &'static str {
                match self { $(Reason::$name => $code,)* }
            }

            /// A sentence for people.
            pub fn sentence(self) -> &'static str {
                match self { $(Reason::$name => $sentence,)* }
            }

            /// What the command does here.
            pub fn work(self) -> Work {
                match self { $(Reason::$name => Work::$work,)* }
            }
        }
    };
}

#[rustfmt::skip]
reasons! {
    AnnotatedAssembly   "annotated-assembly"   Compile    "the assembler text quotes the lines of the source";
    AssemblerFiles      "assembler-files"      Compile    "an option lets the assembler read or write files of this machine";
    AssemblerListing    "assembler-listing"    Compile    "the assembler writes a listing";
    AssemblerSource     "assembler-source"     Compile    "the source is assembler, which the hosts do not take";
    ChecksOnly          "checks-only"          Compile    "it checks the source and leaves no object";
    CompilerParts       "compiler-parts"       Compile    "the compiler is told to take its programs from elsewhere";
    CompilerScript      "compiler-script"      Compile    "the compiler is a script, which may add options of its own";
    ConfigFile          "config-file"          Compile    "the compiler reads a configuration file of this machine";
    Coverage            "coverage"             Compile    "coverage notes are written beside the object";
    DeviceCode          "device-code"          Compile    "code for another device is compiled along";
    DriverMode          "driver-mode"          Compile    "the compiler is told to act as another one";
    Dumps               "dumps"                Compile    "the compiler dumps its inner state";
    EnvironmentDeps     "environment-deps"     Compile    "a variable asks for the dependencies of a source that is preprocessed already";
    HeaderUnit          "header-unit"          Compile    "a precompiled header is made";
    IntermediateCode    "intermediate-code"    Compile    "the source is the compiler's own intermediate code";
    KeepsTemporaries    "keeps-temporaries"    Compile    "the intermediate files are kept";
    LinkerInput         "linker-input"         Compile    "objects or libraries are named beside the source";
    Links               "links"                Compile    "it links";
    Malformed           "malformed"            Question   "an option lacks its argument, or words contradict each other";
    Modules             "modules"              Compile    "C++ or clang modules tie it to files of this build";
    NamesSource         "names-source"         Compile    "the object names the file that the compiler read";
    NativeCpu           "native-cpu"           Compile    "the code is made for the processor of this machine";
    NoSource            "no-source"            Question   "no source is named";
    OtherFolder         "other-folder"         Compile    "the compiler is told to work in another folder";
    OtherFormat         "other-format"         Compile    "the object is in a format that does not say which compiler made it";
    OtherLanguage       "other-language"       Compile    "the source is in a language that is not sent";
    OutputToStdout      "output-to-stdout"     Compile    "the output goes to standard output";
    PrecompiledHeader   "precompiled-header"   Compile    "a precompiled header of this machine is read";
    Preprocesses        "preprocesses"         Preprocess "it stops after preprocessing";
    Probe               "probe"                Compile    "it tries out the compiler for a configure script";
    Profile             "profile"              Compile    "a profile of this machine is read or written";
    Question            "question"             Question   "it only asks the compiler something";
    ReadsFile           "reads-file"           Compile    "an option makes the compiler read another file of this machine";
    RecordsCommand      "records-command"      Compile    "the object records the command that it was made with";
    ResponseFile        "response-file"        Compile    "a response file could not be read";
    SearchEnvironment   "search-environment"   Compile    "the environment changes where the compiler finds its programs, its options, or what it reports";
    SeveralArchitectures "several-architectures" Compile  "one command compiles for chosen or several architectures";
    SeveralOutputs      "several-outputs"      Compile    "several outputs are named";
    SeveralSources      "several-sources"      Compile    "several sources are named";
    SourceColumns       "source-columns"       Compile    "the object holds columns of the source that the hosts would not see";
    SourceFromStdin     "source-from-stdin"    Compile    "the source comes from standard input";
    SourceReadsFiles    "source-reads-files"   Compile    "the source makes the assembler read files of this machine";
    SourceSpeaks        "source-speaks"        Compile    "a pragma of the source prints a message";
    Specs               "specs"                Compile    "a specs file of this machine is read";
    SplitDebug          "split-debug"          Compile    "debug information goes to a file of its own";
    SunproDeps          "sunpro-deps"          Compile    "SUNPRO_DEPENDENCIES asks for dependencies";
    Times               "times"                Compile    "the compiler reports what it spends";
    UnknownCompiler     "unknown-compiler"     Compile    "the program is not a compiler that is known";
    UnknownOption       "unknown-option"       Compile    "an option is not known and could read or write files";
    UnusedArgument      "unused-argument"      Compile    "clang remarks on an argument that it does not use";
    Verbose             "verbose"              Compile    "the compiler tells its own steps";
    Wrapper             "wrapper"              Compile    "another program is put before the compiler's own, or loaded into it";
    WritesReport        "writes-report"        Compile    "a report is written beside the object";
}

impl Reason {
    /// The reason of this code.
    pub fn from_code(code: &str) -> Option<Reason> {
        Reason::all()
            .iter()
            .copied()
            .find(|reason| reason.code() == code)
    }

    /// Does the command only answer, or fail at once, so that it needs no local slot?
    pub fn is_question(self) -> bool {
        self.work() == Work::Question
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_sorted_kebab_case_and_their_own() {
        let codes: Vec<_> = Reason::all().iter().map(|reason| reason.code()).collect();
        assert!(codes.is_sorted_by(|a, b| a < b), "{codes:?}");
        for code in codes {
            assert!(
                code.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'),
                "{code}"
            );
            assert_eq!(Reason::from_code(code).map(Reason::code), Some(code));
        }
    }

    #[test]
    fn sentences_are_fragments_without_a_full_stop() {
        for reason in Reason::all() {
            assert!(reason.sentence().contains(' '));
            assert!(!reason.sentence().ends_with('.'));
        }
    }
}
