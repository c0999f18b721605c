//! Conditions: integer expressions that every compiler takes, with macros in them.

use super::text::Author;

/// Where an expression stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Within {
    Condition,
    /// An argument or the body of a macro: operands of `defined` would be expanded there.
    Macro,
}

const NUMBERS: &[&str] = &[
    "0",
    "1",
    "2",
    "3",
    "7",
    "10",
    "0x10",
    "0xFFu",
    "017",
    "1u",
    "3UL",
    "5LL",
    "9ull",
    "1L",
    "0b101",
    "4lu",
    "2LLU",
    "2147483647",
    "4294967295",
    "0x7fffffffffffffff",
    "0xffffffffffffffff",
    "9223372036854775807",
    "18446744073709551615u",
    "00",
    "0x0",
    "0XAbC",
    "0777777777777777777777",
    "1000000007",
];

const CHARACTERS: &[&str] = &[
    "'a'",
    "'\\n'",
    "'\\0'",
    "'\\x41'",
    "'\\377'",
    "'\\xff'",
    "'ab'",
    "'abcd'",
    "'\\''",
    "'\"'",
    "'\\\\'",
    "'//'",
    "'/*'",
    "L'a'",
    "L'\\xff'",
    "L'\\x7fffffff'",
    "'\\101b'",
    "'?'",
    "'\\e'",
    "'#'",
    "' '",
    "L'\\377'",
    "L'\\u00e9'",
];

const COMPARED: &[&str] = &["==", "!=", "<", ">", "<=", ">="];
const OPERATORS: &[&str] = &["+", "-", "*", "&", "|", "^", "<<", ">>", "&&", "||"];
const NAMED: &[&str] = &["and", "or", "bitand", "bitor", "xor", "not_eq"];

const KNOWN: &[&str] = &[
    "__GNUC__",
    "__STDC__",
    "__CHAR_BIT__",
    "__SIZEOF_INT__",
    "__INT_MAX__",
    "__LONG_MAX__",
    "__SIZEOF_POINTER__",
    "__x86_64__",
    "__OPTIMIZE__",
    "__clang__",
    "__STDC_VERSION__",
    "__cplusplus",
    "__STRICT_ANSI__",
    "__CHAR_UNSIGNED__",
    "__STDC_HOSTED__",
    "__ELF__",
    "linux",
    "unix",
    "__PIC__",
    "__EXCEPTIONS",
    "__SCHAR_MAX__",
    "__WCHAR_MAX__",
    "_GNU_SOURCE",
    "__OBJC__",
    "__SSE2__",
    "__GNUC_MINOR__",
    "__INTMAX_MAX__",
    "__UINTMAX_MAX__",
    "__BYTE_ORDER__",
    "__ORDER_LITTLE_ENDIAN__",
    "_LP64",
    "__unix",
];

const ASKED: &[&str] = &[
    "__has_attribute(noreturn)",
    "__has_attribute(no_such)",
    "__has_attribute(__aligned__)",
    "__has_attribute( cold )",
];
const ASKED_BUILTIN: &[&str] = &[
    "__has_builtin(__builtin_expect)",
    "__has_builtin(no_such)",
    "__has_builtin( __builtin_trap )",
];

impl Author<'_> {
    /// An expression that is valid whatever the macros are.
    pub(crate) fn expression(&mut self, depth: usize, within: Within) -> String {
        if depth == 0 || self.chance.one_in(5) {
            return self.operand(within);
        }
        let (b, c) = (self.blank(), self.blank());
        let next = depth - 1;
        match self.chance.below(16) {
            0..=3 => {
                let operator = self.chance.of(OPERATORS);
                let (left, right) = (self.expression(next, within), self.expression(next, within));
                format!("{left}{b}{operator}{c}{right}")
            }
            4..=5 => {
                let operator = self.chance.of(COMPARED);
                let (left, right) = (self.expression(next, within), self.expression(next, within));
                format!("{left}{b}{operator}{c}{right}")
            }
            6 => {
                let operator = self.chance.of(&["/", "%"]);
                let (left, right) = (self.expression(next, within), self.expression(next, within));
                format!("{left}{b}{operator}{c}(({right})|1)")
            }
            7 => {
                let (yes, no) = (self.expression(next, within), self.expression(next, within));
                let condition = self.expression(next, within);
                format!("({condition}{b}?{c}{yes}{b}:{c}{no})")
            }
            8 => {
                let operator = self.chance.of(&["!", "~", "-", "+", "- -", "!!", "-~"]);
                format!("{operator}{b}{}", self.operand(within))
            }
            9 => format!("({b}{}{c})", self.expression(next, within)),
            10 if self.dialect.cxx => {
                let operator = self.chance.of(NAMED);
                let (left, right) = (self.expression(next, within), self.expression(next, within));
                format!("{left} {operator} {right}")
            }
            11 if self.dialect.comma => {
                let (left, right) = (self.expression(next, within), self.expression(next, within));
                format!("({left}{b},{c}{right})")
            }
            12 => self.short_cut(next, within),
            _ => self.invocation(next),
        }
    }

    /// What is not evaluated, and may then be nonsense.
    fn short_cut(&mut self, depth: usize, within: Within) -> String {
        let nonsense = self
            .chance
            .of(&["1/0", "1%0", "(2/(1-1))", "-1/0", "1 << 1/0"]);
        let rest = self.expression(depth, within);
        match self.chance.below(4) {
            0 => format!("((0 && {nonsense}) + ({rest}))"),
            1 => format!("((1 || {nonsense}) - ({rest}))"),
            2 => format!("(1 ? {rest} : {nonsense})"),
            _ => format!("(0 ? {nonsense} : {rest})"),
        }
    }

    fn operand(&mut self, within: Within) -> String {
        match self.chance.below(24) {
            0..=5 => self.chance.of(NUMBERS).to_owned(),
            6..=7 => self.character(),
            8..=12 => self.value_name(),
            13..=15 if within == Within::Condition => self.defined(),
            16 => self.chance.of(KNOWN).to_owned(),
            17 => self
                .chance
                .of(&["__LINE__", "__INCLUDE_LEVEL__", "__COUNTER__", "__LINE__"])
                .to_owned(),
            18 if self.dialect.has_include => {
                let name = self.probe_name();
                let macro_name = if self.chance.one_in(4) {
                    "__has_include_next"
                } else {
                    "__has_include"
                };
                let (b, c) = (self.blank(), self.blank());
                format!("{macro_name}{b}({c}{name}{b})")
            }
            19 => self.chance.of(ASKED).to_owned(),
            20 => self.chance.of(ASKED_BUILTIN).to_owned(),
            21 if self.dialect.separators => self
                .chance
                .of(&["1'000", "0x1'0", "0b1'0'1", "1'8446744073709551'615u"])
                .to_owned(),
            22 if self.dialect.cxx => self
                .chance
                .of(&["true", "false", "not O1", "compl 0"])
                .to_owned(),
            23 if self.dialect.gcc_only && within == Within::Condition => self
                .chance
                .of(&[
                    "#machine(x86_64)",
                    "#cpu(vax)",
                    "#animal(dog)",
                    "#animal",
                    "#system(linux)",
                ])
                .to_owned(),
            _ => self.chance.of(&["0", "1", "undefined_name"]).to_owned(),
        }
    }

    fn character(&mut self) -> String {
        if self.dialect.wide && self.chance.one_in(4) {
            return self
                .chance
                .of(&[
                    "u'a'",
                    "U'\\xff'",
                    "u'\\u20ac'",
                    "U'\\U0001F600'",
                    "u'\\xffff'",
                    "U'\\xffffffff'",
                ])
                .to_owned();
        }
        if self.dialect.utf8 && self.chance.one_in(6) {
            return self
                .chance
                .of(&["u8'a'", "u8'\\x7f'", "u8'\\xff'"])
                .to_owned();
        }
        if self.dialect.gcc_only && self.chance.one_in(8) {
            return self
                .chance
                .of(&["'\\u00e9'", "'é'", "'\\xfff'", "'abcde'", "'\\400'"])
                .to_owned();
        }
        self.chance.of(CHARACTERS).to_owned()
    }

    fn defined(&mut self) -> String {
        let name = match self.chance.below(4) {
            0 => self.chance.of(KNOWN).to_owned(),
            1 => self
                .chance
                .of(&[
                    "ID",
                    "__has_include",
                    "__FILE__",
                    "__COUNTER__",
                    "nothing",
                    "_Pragma",
                    "__VA_OPT__x",
                ])
                .to_owned(),
            _ => self.value_name(),
        };
        let (b, c) = (self.blank(), self.blank());
        if self.chance.one_in(2) {
            format!("defined{b}({c}{name}{b})")
        } else {
            format!("defined {name}")
        }
    }

    /// A call of a macro of the prologue.
    fn invocation(&mut self, depth: usize) -> String {
        let (b, c) = (self.blank(), self.blank());
        let e = |author: &mut Self| author.expression(depth.min(1), Within::Macro);
        let (x, y) = (e(self), e(self));
        let number = self.chance.below(8);
        match self.chance.below(18) {
            0 => format!("ID{b}({c}{x}{b})"),
            1 => format!("ADD({x},{c}{y}{b})"),
            2 => format!("XCAT({b}O,{c}{number})"),
            3 => format!("CAT(O{b},{c}{number}{b})"),
            4 => format!("CAT({number}, 1)"),
            5 => format!("XCAT(1{c}, CAT(0,{number}){b})"),
            6 => format!("THIRD(x, ({y}), {x}, y, z)"),
            7 => format!(
                "COUNT({})",
                self.chance
                    .of(&["", "x", "x,y", "(x,y)", "x , , z", "\",\", ')'"])
            ),
            8 => format!("CALL(ID, {x})"),
            9 => format!("AGAIN(DEFER(ID)({x}))"),
            10 => format!("AGAIN(ID EMPTY ({x}))"),
            11 => format!(
                "ONE({})",
                self.chance
                    .of(&[
                        "", "(,)", "\"a)\"", "')'", "x y", "#", "##", "ID", "ONE(2)", "(((",
                        "/* ) */"
                    ])
                    .replace("(((", "()")
            ),
            12 => format!(
                "(1 ID({}) 2)",
                self.chance.of(&["+", "-", "<", "&&", "*", ">>", "=="])
            ),
            13 if self.dialect.va_opt => format!(
                "OPT({x}{})",
                self.chance.of(&["", ",", ", a", ", EMPTY", ", (,)", ",,"])
            ),
            14 => format!("XCAT(defi, ned_{number})"),
            15 => format!("CALL(XCAT, O, {number})"),
            16 if self.dialect.va_opt => {
                format!("PAST({})", self.chance.of(&["", "1", "EMPTY", "1, 2"]))
            }
            _ => format!("GNU({x}{})", self.chance.of(&["", ", 1", ", O1"])),
        }
    }
}
