//! What a compiler predefines and where its own headers are: it is asked once for each set of words that may matter.

mod ask;
mod common;
mod said;

pub(crate) use ask::{Ask, candidates, run};
pub(crate) use common::COMMON;
pub(crate) use said::{Said, said};

use crate::names::{self, Name};

/// Names of macros that a compiler may have built in without listing them, and what they are.
pub(crate) const QUESTIONS: &[(&str, Name)] = &[
    ("__has_include", names::HAS_INCLUDE),
    ("__has_include_next", names::HAS_INCLUDE_NEXT),
    ("__has_embed", names::HAS_EMBED),
    ("__has_attribute", names::HAS_ATTRIBUTE),
    ("__has_cpp_attribute", names::HAS_CPP_ATTRIBUTE),
    ("__has_c_attribute", names::HAS_C_ATTRIBUTE),
    ("__has_builtin", names::HAS_BUILTIN),
    ("__has_constexpr_builtin", names::HAS_CONSTEXPR_BUILTIN),
    ("__has_feature", names::HAS_FEATURE),
    ("__has_extension", names::HAS_EXTENSION),
    ("__has_declspec_attribute", names::HAS_DECLSPEC_ATTRIBUTE),
    ("__has_warning", names::HAS_WARNING),
    ("__is_identifier", names::IS_IDENTIFIER),
    ("__building_module", names::BUILDING_MODULE),
    ("__is_target_arch", names::IS_TARGET_ARCH),
    ("__is_target_vendor", names::IS_TARGET_VENDOR),
    ("__is_target_os", names::IS_TARGET_OS),
    ("__is_target_environment", names::IS_TARGET_ENVIRONMENT),
    ("__FILE__", names::FILE),
    ("__FILE_NAME__", names::FILE_NAME),
    ("__LINE__", names::LINE),
    ("__COUNTER__", names::COUNTER),
    ("__INCLUDE_LEVEL__", names::INCLUDE_LEVEL),
    ("__BASE_FILE__", names::BASE_FILE),
    ("__DATE__", names::DATE),
    ("__TIME__", names::TIME),
    ("__TIMESTAMP__", names::TIMESTAMP),
    ("_Pragma", names::PRAGMA),
];

/// The source that a compiler is shown to learn how it reads text.
pub(crate) fn first_source() -> Vec<u8> {
    let mut text = String::new();
    for (name, _) in QUESTIONS {
        text.push_str(&format!("#ifdef {name}\nDLIS {name}_\n#endif\n"));
    }
    text.push_str(
        "#if 1 //**/ 2\nDLIS line_comments\n#endif\n\
         #if 0\n#elifdef __FILE__\nDLIS elifdef\n#endif\n\
         #if true\nDLIS booleans\n#endif\n\
         #if '\\0' - 1 > 0\nDLIS unsigned_chars\n#endif\n\
         #if L'\\0' - 1 > 0\nDLIS unsigned_wide\n#endif\n\
         %:define DL_DIGRAPH\n#ifdef DL_DIGRAPH\nDLIS digraphs\n#endif\n\
         ??=define DL_TRIGRAPH\n#ifdef DL_TRIGRAPH\nDLIS trigraphs\n#endif\n\
         #define DL_OPT(x, ...) DL##__VA_OPT__(I)##S\n\
         DL_OPT(a, b) va_opt\n\
         #undef DL_OPT\n\
         DLRAW R\"(\n#define DL_NORAW\n)\"\n#ifndef DL_NORAW\nDLIS raw_strings\n#endif\n",
    );
    for (at, question) in COMMON.iter().enumerate() {
        let name = question.split('(').next().unwrap_or_default();
        text.push_str(&format!(
            "#ifdef {name}\nDLANSWER {at} {question}\n#endif\n"
        ));
    }
    text.into_bytes()
}

/// The source that asks what the compiler makes of each of `texts`.
pub(crate) fn source_of(texts: &[Vec<u8>]) -> Vec<u8> {
    let mut source = Vec::new();
    for (at, text) in texts.iter().enumerate() {
        if text.starts_with(b"#") {
            source.extend_from_slice(b"#if ");
            source.extend_from_slice(text);
            source.extend_from_slice(format!("\nDLANSWER {at} 1\n#endif\n").as_bytes());
            continue;
        }
        source.extend_from_slice(format!("DLANSWER {at} ").as_bytes());
        source.extend_from_slice(text);
        source.push(b'\n');
    }
    source
}
