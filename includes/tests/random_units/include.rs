//! How headers are named: in quotes and brackets, through folders and links, by macros.

use super::text::{Author, ODD, RANKS, header_name};

/// Every file may use these macros; the source of a unit includes them first.
pub(crate) const PROLOGUE: &str = r#"#ifndef PRO
#define PRO
#define ID(x) x
#define ADD(x, y) ((x) + (y))
#define CAT(a, b) a##b
#define XCAT(a, b) CAT(a, b)
#define STR(...) #__VA_ARGS__
#define XSTR(...) STR(__VA_ARGS__)
#define THIRD(a, b, c, ...) c
#define COUNT(...) FOURTH(__VA_ARGS__, 3, 2, 1, 0)
#define FOURTH(a, b, c, d, ...) 0##d
#define CALL(f, ...) f(__VA_ARGS__)
#define EMPTY
#define NOTHING()
#define DEFER(x) x NOTHING()
#define ONE(x) 1
#define GNU(x, y...) ((x) + COUNT(x, ## y))
#define AGAIN(...) __VA_ARGS__
#define LT <
#define GT >
#define DOT .
#define D d
#define ANGLE(n) <n.h>
#define ANG(n) <h##n.h>
#define BELOW(n) <d/n.h>
#define QUOTE(n) XSTR(n.h)
#define DO(x) _Pragma(#x)
#define PUSH(x) DO(push_macro(#x))
#define POP(x) DO(pop_macro(#x))
#define OPT(x, ...) (x __VA_OPT__(+ 1))
#define PAST(...) 1##__VA_OPT__(0)##0
#define O0 0
#define O1 1
#define O3 O4 + 1
#endif
"#;

const SYSTEM: &[&str] = &[
    "stddef.h",
    "limits.h",
    "stdarg.h",
    "stdint.h",
    "stdbool.h",
    "float.h",
];

impl Author<'_> {
    /// A name for `__has_include`, in quotes or brackets or by a macro; nothing may be there.
    pub(crate) fn probe_name(&mut self) -> String {
        match self.chance.below(5) {
            0 => self
                .chance
                .of(&[
                    "\"nothere.h\"",
                    "<nothere.h>",
                    "\"d\"",
                    "<d/>",
                    "\"dang\"",
                    "\"../pro.h\"",
                    "<loop>",
                ])
                .to_owned(),
            1 => self.computed(true),
            _ => self.literal().0,
        }
    }

    fn target(&mut self) -> usize {
        // A higher rank as a rule.
        let above = RANKS - self.rank.min(RANKS - 1) - 1;
        if above > 0 && !self.chance.one_in(8) {
            self.rank + 1 + self.chance.below(above)
        } else {
            self.chance.below(RANKS)
        }
    }

    /// A literal name, its rank, and whether it is certain to be found.
    fn literal(&mut self) -> (String, usize, bool) {
        let rank = self.target();
        let name = header_name(rank);
        let (name, certain) = match self.chance.below(18) {
            0..=8 => (name, true),
            9 => (format!("d/{name}"), true),
            10 => (format!("./{name}"), true),
            11 => (format!("d/../{name}"), true),
            12 => (format!("d//{name}"), true),
            13 => (
                format!(
                    "{}/{name}",
                    self.chance.of(&[
                        "up",
                        "lnk",
                        "../inc1",
                        "../inc2/up/..",
                        "lnk/..",
                        "ln",
                        "../ln2",
                        "linux",
                        "../é",
                        "../sp ace"
                    ])
                ),
                false,
            ),
            14 => (
                format!(
                    "{}/{}/{name}",
                    self.root.display(),
                    self.chance
                        .of(&["inc1", "inc0", "ln", "sub/../sys", "inc2/up", "./quo"])
                ),
                false,
            ),
            15 => {
                let odd = self.chance.of(ODD).to_owned();
                return (self.bracketed(odd), RANKS - 1, false);
            }
            _ => (self.chance.of(SYSTEM).to_owned(), false),
        };
        (self.bracketed(name), rank, certain)
    }

    fn bracketed(&mut self, name: String) -> String {
        if self.chance.one_in(2) {
            format!("\"{name}\"")
        } else {
            format!("<{name}>")
        }
    }

    /// A name by macros of the prologue.
    fn computed(&mut self, probed: bool) -> String {
        let n = self.target();
        let (b, c) = (
            self.chance.of(&["", "", " ", "/**/"]),
            self.chance.of(&["", "", " ", "  "]),
        );
        match self.chance.below(24) {
            0 => format!("XSTR({b}h{n}.h{c})"),
            1 => format!("XSTR(D/h{n}.h)"),
            2 => format!("XSTR(XCAT(h,{n}).h)"),
            3 => format!("LT{b} h{n}.h {c}GT"),
            4 => format!("ANGLE({b}h{n}{c})"),
            5 => format!("ANG({n})"),
            6 => format!("BELOW({b}h{n}{c})"),
            7 => format!("QUOTE({b}h{n}{c})"),
            8 => format!("ID(\"h{n}.h\")"),
            9 => format!("ID({b}<h{n}.h>{c})"),
            10 => format!("EMPTY \"h{n}.h\""),
            11 => format!("EMPTY <{b}h{n}.h{c}>"),
            12 => format!("XSTR(ID(h{n}){b}.h)"),
            13 => format!("XSTR(ID(h){c}{n}.h)"),
            14 => format!("ANGLE(XCAT({b}h,{n}))"),
            15 => format!("ANGLE(ID(h){n})"),
            16 => format!("LT EMPTY h{n}{b}.{c}h GT"),
            17 => format!("XSTR(linux/h{n}.h)"),
            18 => format!("ID(ANG)({n})"),
            19 => format!("XSTR(h{n} DOT h)"),
            20 => format!("XSTR(h{n}EMPTY.h)")
                .replace("EMPTY", self.chance.of(&[" EMPTY ", "/**/", ""])),
            21 => format!("LT D/h{n}.h GT"),
            22 => format!("BELOW(h{n}EMPTY)").replace("EMPTY", self.chance.of(&[" EMPTY", ""])),
            _ if probed => self.chance.of(&["__FILE__", "__BASE_FILE__"]).to_owned(),
            _ => format!("THIRD(x, <y>, <h{n}.h>, )"),
        }
    }

    /// One inclusion, which is only made where it ends.
    pub(crate) fn include(&mut self, out: &mut String, _depth: usize) {
        let directive = match self.chance.below(12) {
            0 => "import",
            1 if self.rank > 0 => "include_next",
            2 if self.rank > 0 => "include_next",
            _ => "include",
        };
        let probe = if directive == "include_next" {
            "__has_include_next"
        } else {
            "__has_include"
        };
        let (b, c) = (
            self.chance.of(&["", " ", "/**/", "\t"]),
            self.chance.of(&["", "", " ", "/* x */", " junk"]),
        );
        if self.chance.one_in(14) {
            let name = self.chance.of(&["__FILE__", "__BASE_FILE__", "__FILE__"]);
            out.push_str(&format!(
                "#if __INCLUDE_LEVEL__ < 3 && __has_include({name})\n#include {name}\n#endif\n"
            ));
            return;
        }
        let (name, rank, certain) = if self.chance.one_in(3) {
            (self.computed(false), 0, false)
        } else {
            self.literal()
        };
        let certain = certain && directive != "include_next";
        let blank = if name.starts_with(['"', '<']) { b } else { " " };
        let include = format!("#{directive}{blank}{name}{c}\n");
        let mut conditions = Vec::new();
        if !certain {
            conditions.push(format!("{probe}({name})"));
        }
        if rank <= self.rank {
            conditions.push("__INCLUDE_LEVEL__ < 4".to_owned());
        }
        if conditions.is_empty() {
            out.push_str(&include);
        } else {
            out.push_str(&format!(
                "#if {}\n{include}#endif\n",
                conditions.join(" && ")
            ));
        }
    }
}
