//! Text of sources and headers: directives of all kinds, and what stands between them.

use super::chance::Chance;
use super::number::Within;
use std::path::Path;

/// What the compilers of a case take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dialect {
    pub(crate) cxx: bool,
    pub(crate) gcc_only: bool,
    pub(crate) trigraphs: bool,
    pub(crate) separators: bool,
    /// `u''` and `U''`
    pub(crate) wide: bool,
    /// `u8''`
    pub(crate) utf8: bool,
    pub(crate) elifdef: bool,
    pub(crate) va_opt: bool,
    /// `//`
    pub(crate) line_comments: bool,
    pub(crate) comma: bool,
    pub(crate) has_include: bool,
    pub(crate) digraphs: bool,
}

/// Who writes the files of a case.
pub(crate) struct Author<'c> {
    pub(crate) chance: &'c mut Chance,
    pub(crate) dialect: Dialect,
    pub(crate) root: &'c Path,
    /// Headers include only those of higher ranks, or within a limit of depth.
    pub(crate) rank: usize,
}

pub(crate) const RANKS: usize = 6;
/// Names of the highest rank that are odd.
pub(crate) const ODD: &[&str] = &[
    "x y.h", "é.h", "b\\s.h", "q'.h", "a+b-c.h", "1.h", "noext", "if.h", "O1.h", "p(1).h",
];

pub(crate) fn header_name(rank: usize) -> String {
    format!("h{rank}.h")
}

impl Author<'_> {
    pub(crate) fn blank(&mut self) -> &'static str {
        if self.chance.below(4) > 0 {
            return self.chance.of(&["", " "]);
        }
        self.chance.of(&[
            " ",
            "\t",
            "  ",
            "/**/",
            " /* ' */ ",
            "/*\n*/",
            " \\\n",
            "\\\n",
            "/* \" \\\n #endif */",
        ])
    }

    /// A blank that is not empty.
    fn gap(&mut self) -> &'static str {
        match self.blank() {
            "" | "\\\n" => " ",
            other => other,
        }
    }

    pub(crate) fn value_name(&mut self) -> String {
        format!("O{}", self.chance.below(8))
    }

    /// A whole header of this author's rank, in some shape of guard.
    pub(crate) fn header(&mut self) -> Vec<u8> {
        let mut out = String::new();
        let body = |author: &mut Self, out: &mut String| {
            for _ in 0..author.chance.below(if author.rank < 2 { 4 } else { 3 }) {
                author.block(out, if author.rank < 3 { 2 } else { 1 });
            }
        };
        let guard = format!("G{}_{}", self.rank, self.chance.below(4));
        match self.chance.below(14) {
            0 => {
                out.push_str("#pragma once\n");
                body(self, &mut out);
            }
            1 => {
                let directive = self.directive_sign();
                out.push_str(&format!("{directive}ifndef {guard}\n#define {guard}\n"));
                body(self, &mut out);
                out.push_str(self.chance.of(&[
                    "#endif\n",
                    "#endif // x\n",
                    "#endif /* x */\n\n",
                    "#endif\n// x\n",
                ]));
            }
            2 => {
                let form = self.chance.of(&[
                    "#if !defined G\n",
                    "#if !defined(G)\n",
                    "#if ! defined ( G )\n",
                    "#if !(defined G)\n",
                    "#if (!defined(G))\n",
                    "#if !defined(G) && 1\n",
                    "#if 1 && !defined G\n",
                    "#if defined G == 0\n",
                ]);
                out.push_str(&form.replace('G', &guard));
                out.push_str(&format!("#define {guard} 1\n"));
                body(self, &mut out);
                out.push_str("#endif\n");
            }
            3 => {
                out.push_str(&format!("#ifdef {guard}\n#else\n#define {guard}\n"));
                body(self, &mut out);
                out.push_str("#endif\n");
            }
            4 => {
                out.push_str(&format!("#ifndef {guard}\n"));
                body(self, &mut out);
                out.push_str("#else\n");
                body(self, &mut out);
                out.push_str("#endif\n");
            }
            5 => {
                out.push_str(&format!("int before;\n#ifndef {guard}\n#define {guard}\n"));
                body(self, &mut out);
                out.push_str("#endif\n");
            }
            6 => {
                out.push_str(&format!("#ifndef {guard}\n#define {guard}\n"));
                body(self, &mut out);
                out.push_str("#endif\n");
                self.block(&mut out, 1);
            }
            7 => {
                // Never defined.
                out.push_str(&format!("/* c */\n#ifndef {guard}_\n"));
                body(self, &mut out);
                out.push_str("#endif\n");
            }
            8 => {
                out.push_str("_Pragma(\"once\")\n");
                body(self, &mut out);
            }
            9 => {
                out.push_str(&format!("#ifndef {guard}\n#pragma once\n#define {guard}\n"));
                body(self, &mut out);
                out.push_str("#endif\n");
            }
            _ => body(self, &mut out),
        }
        self.dress(out)
    }

    /// The source of a unit; `prologue` is how it gets the macros that everything uses.
    pub(crate) fn unit(&mut self, prologue: &str) -> Vec<u8> {
        let mut out = prologue.to_owned();
        for _ in 0..6 + self.chance.below(8) {
            self.block(&mut out, 3);
        }
        self.dress(out)
    }

    fn directive_sign(&mut self) -> String {
        let (b, c) = (
            self.chance
                .of(&["", "", "", " ", "\t", "/* x */", "/*\n*/ "]),
            self.chance.of(&["", "", "", " ", "/**/", "\\\n"]),
        );
        format!("{b}#{c}")
    }

    /// Some directives with what belongs to them, or text.
    pub(crate) fn block(&mut self, out: &mut String, depth: usize) {
        let sign = self.directive_sign();
        let gap = self.gap();
        match self.chance.below(20) {
            0..=4 => self.conditional(out, depth),
            5..=9 => self.include(out, depth),
            10..=12 => {
                let name = self.value_name();
                let body = self.expression(2, Within::Macro);
                out.push_str(&format!("{sign}define{gap}{name} {body}\n"));
            }
            13 => {
                let name = if self.chance.one_in(6) {
                    self.chance
                        .of(&[
                            "__FILE__",
                            "__LINE__",
                            "__COUNTER__",
                            "__GNUC__",
                            "__x86_64__",
                            "linux",
                            "__has_builtin",
                            "__cplusplus",
                            "__STDC__",
                        ])
                        .to_owned()
                } else {
                    self.value_name()
                };
                if name.starts_with('O') || self.chance.one_in(4) {
                    out.push_str(&format!("{sign}undef{gap}{name}\n"));
                }
            }
            14 => self.pragma(out),
            15 => out.push_str(&self.line()),
            16 => self.skipped(out),
            _ => self.noise(out),
        }
    }

    fn conditional(&mut self, out: &mut String, depth: usize) {
        let sign = self.directive_sign();
        let name = self.value_name();
        match self.chance.below(5) {
            0 => out.push_str(&format!("{sign}ifdef {name}\n")),
            1 => out.push_str(&format!("{sign}ifndef {name}\n")),
            _ => {
                let condition = self.expression(3, Within::Condition);
                let gap = self.gap();
                out.push_str(&format!("{sign}if{gap}{condition}\n"));
            }
        }
        let inner = |author: &mut Self, out: &mut String| {
            for _ in 0..1 + author.chance.below(2) {
                if depth > 0 {
                    author.block(out, depth - 1);
                } else {
                    let body = author.chance.below(9);
                    match author.chance.below(3) {
                        0 => out.push_str(&format!("#define O{} {body}\n", author.chance.below(8))),
                        _ => author.include(out, 0),
                    }
                }
            }
        };
        inner(self, out);
        for _ in 0..self.chance.below(3) {
            let sign = self.directive_sign();
            if self.dialect.elifdef && self.chance.one_in(3) {
                let (name, not) = (self.value_name(), self.chance.of(&["", "n"]));
                out.push_str(&format!("{sign}elif{not}def {name}\n"));
            } else {
                let condition = self.expression(2, Within::Condition);
                out.push_str(&format!("{sign}elif {condition}\n"));
            }
            inner(self, out);
        }
        let sign = self.directive_sign();
        if self.chance.one_in(2) {
            out.push_str(&format!("{sign}else\n"));
            inner(self, out);
        }
        out.push_str(&format!("{sign}endif\n"));
    }

    fn pragma(&mut self, out: &mut String) {
        let name = self.value_name();
        let number = self.chance.below(9);
        match self.chance.below(10) {
            0 => out.push_str(&format!(
                "#pragma push_macro(\"{name}\")\n#define {name} {number}\n"
            )),
            1 => out.push_str(&format!("#pragma pop_macro(\"{name}\")\n")),
            2 => out.push_str(&format!(
                "_Pragma(\"push_macro(\\\"{name}\\\")\")\n#undef {name}\n#define {name} {number}\n"
            )),
            3 => out.push_str(&format!("_Pragma(\"pop_macro(\\\"{name}\\\")\")\n")),
            4 => out.push_str(&format!("PUSH({name})\n#undef {name}\n")),
            5 => out.push_str(&format!("POP({name}) int z;\n")),
            6 if self.rank > 0 => out.push_str("#pragma GCC system_header\n"),
            7 => out.push_str(&format!(
                "#pragma push_macro( \"{name}\" ) x\n#undef {name}\n#pragma pop_macro(\"{name}\")\n"
            )),
            8 => out.push_str("#pragma GCC dependency \"h5.h\"\n#pragma GCC dependency <h4.h> x\n"),
            _ => out.push_str("#pragma whatever \"x 'y\n"),
        }
    }

    fn line(&mut self) -> String {
        let number = 1 + self.chance.below(500);
        match self.chance.below(6) {
            0 => format!("#line {number}\n"),
            1 => format!("#line {number} \"other.y\"\n"),
            2 => format!("# {number} \"h5.h\"\n"),
            3 => format!("#define LN {number}\n#line LN\n#undef LN\n"),
            4 => format!("#line {number} /* x */ \"h4.h\" // y\n").replace(
                "// y",
                if self.dialect.line_comments {
                    "// y"
                } else {
                    ""
                },
            ),
            _ => format!("#line ID({number}) __FILE__\n"),
        }
    }

    /// What is skipped may be nonsense.
    fn skipped(&mut self, out: &mut String) {
        let nonsense = self.chance.of(&[
            "it's",
            "\"open",
            "#if ((\n#else\n'x\n#endif",
            "#include <nothere.h>",
            "#define",
            "#error no",
            "#wrong",
            "#elif_",
            "#  ",
            "#ifdef\n#endif",
            "/* #endif */",
            "#if 1\n#elif\n#else\n#endif",
            "#endifx",
            "#pragma once",
            "#line x",
            "#define O1 99",
            "%:endif_",
            "\\",
            "#if 0 /*\n#endif\n*/\n#endif",
            "R\"(\n#endif\n)\"",
            "'\\\n#x",
        ]);
        match self.chance.below(4) {
            0 => out.push_str(&format!("#if 0\n{nonsense}\n#endif\n")),
            1 => out.push_str(&format!(
                "#if 1\n#elif )((\n{nonsense}\n#else\n#error\n#endif\n"
            )),
            2 => out.push_str(&format!("#ifdef nothing\n{nonsense}\n#endif\n")),
            _ => {
                out.push_str(&format!("#if 0\n{nonsense}\n#else\n"));
                self.block(out, 0);
                out.push_str("#endif\n");
            }
        }
    }

    fn noise(&mut self, out: &mut String) {
        let name = self.value_name();
        let number = self.chance.below(9);
        let text = match self.chance.below(26) {
            0 => "R\"(\n#undef O4\n#define O1 77\n)\"".to_owned(),
            1 => "R\"x(\n)\"\n#undef O2\n)x\"".to_owned(),
            2 => format!("u8R\"(\n#define {name} {number}\n)\" ;"),
            3 => "foo ID(O1) ID (O2)".to_owned(),
            4 => "ID(\n1\n)".to_owned(),
            5 => "int c = __COUNTER__;".to_owned(),
            6 => "ID(__COUNTER__) ONE(__COUNTER__) STR(__COUNTER__)".to_owned(),
            7 => "CAT(__COUN, TER__)".to_owned(),
            8 => "char q = '\"', *s = \"/*\", *t = \"\\\"\";".to_owned(),
            9 => format!("/* a\n b */ #define {name} {number}"),
            10 => format!("\\\n#define {name} {number}"),
            11 => format!("/**/ # /**/ define /**/ {name} /**/ {number} /**/"),
            12 => "#\n# /* x */".to_owned(),
            13 => "#ident \"x\"".to_owned(),
            14 => "x # define O3 1".to_owned(),
            15 => format!("ID(\n#undef {name}\n 1)"),
            16 => "// it's \\\n#define O4 1".to_owned(),
            17 => "it's text \"open".to_owned(),
            18 if self.dialect.gcc_only => "#assert animal(dog)".to_owned(),
            19 if self.dialect.gcc_only => "#unassert animal".to_owned(),
            20 => format!("#define {name}\\\n {number}"),
            21 => format!("#def\\\nine {name} {number}"),
            22 => format!("#define W(x) x{number}\nint W(a);"),
            23 => "\u{c}\u{b}int y;".to_owned(),
            24 => format!("#define {name} \\\n  ({number} \\\n + 1)"),
            _ => "int i = 1'000; 'a' 0x1p-3 .5e+7 a->b ... <:".to_owned(),
        };
        out.push_str(&text);
        out.push('\n');
    }
}
