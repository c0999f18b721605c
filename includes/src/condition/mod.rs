//! Does an `#if` hold?

mod number;

use crate::Family;
use crate::lex::{Kind, Punct, Token};
use crate::macros::{Expansion, MacroId};
use crate::names;

/// What became of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    Holds(bool),
    /// It depends on something that cannot be known here.
    Unknown,
}

/// A number of a condition: 64 bits, and whether they are without a sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Value {
    pub(crate) bits: u64,
    pub(crate) unsigned: bool,
}

impl Value {
    fn of(holds: bool) -> Value {
        Value {
            bits: u64::from(holds),
            unsigned: false,
        }
    }

    fn holds(self) -> bool {
        self.bits != 0
    }
}

/// How deep parentheses and operators may be nested.
const MAX_DEPTH: u32 = 400;

/// Evaluates what `expansion` gives. What the compiler calls an error does not hold.
pub(crate) fn decide(expansion: &mut Expansion<'_>) -> Decision {
    let mut evaluation = Evaluation {
        ahead: None,
        expansion,
        depth: 0,
    };
    let value = evaluation.conditional();
    let rest = evaluation.take();
    if rest.kind != Kind::End {
        evaluation.expansion.failed = true;
    }
    if expansion.unknown {
        Decision::Unknown
    } else {
        Decision::Holds(value.holds() && !expansion.failed)
    }
}

struct Evaluation<'e, 's> {
    expansion: &'e mut Expansion<'s>,
    ahead: Option<Token>,
    depth: u32,
}

impl Evaluation<'_, '_> {
    fn peek(&mut self) -> Token {
        match self.ahead {
            Some(token) => token,
            None => {
                let token = self.expansion.next();
                self.ahead = Some(token);
                token
            }
        }
    }

    fn take(&mut self) -> Token {
        match self.ahead.take() {
            Some(token) => token,
            None => self.expansion.next(),
        }
    }

    fn fail(&mut self) -> Value {
        self.expansion.failed = true;
        Value::of(false)
    }

    /// `a ? b : c`, and the comma that only an error or C99 leaves in.
    fn conditional(&mut self) -> Value {
        let mut value = self.choice();
        while self.peek().kind == Kind::Punct(Punct::Comma) {
            self.take();
            value = self.choice();
        }
        value
    }

    fn choice(&mut self) -> Value {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            self.expansion.budget = 1;
            return self.fail();
        }
        let condition = self.binary(0);
        let value = if self.peek().kind == Kind::Punct(Punct::Question) {
            self.take();
            let yes = self.idly(!condition.holds(), Self::conditional);
            if self.take().kind != Kind::Punct(Punct::Colon) {
                return self.fail();
            }
            let no = self.idly(condition.holds(), Self::choice);
            let chosen = if condition.holds() { yes } else { no };
            Value {
                bits: chosen.bits,
                unsigned: yes.unsigned || no.unsigned,
            }
        } else {
            condition
        };
        self.depth -= 1;
        value
    }

    /// An operand that does not count if `idle`.
    fn idly(&mut self, idle: bool, operand: impl FnOnce(&mut Self) -> Value) -> Value {
        let before = self.expansion.idle;
        self.expansion.idle |= idle;
        let value = operand(self);
        self.expansion.idle = before;
        value
    }

    /// Operators that bind at least as tightly as `least`.
    fn binary(&mut self, least: u8) -> Value {
        let mut left = self.unary();
        loop {
            let Kind::Punct(operator) = self.peek().kind else {
                return left;
            };
            let Some(precedence) = precedence(operator).filter(|&p| p >= least) else {
                return left;
            };
            self.take();
            let decided = match operator {
                Punct::Or => left.holds(),
                Punct::And => !left.holds(),
                _ => false,
            };
            let right = self.idly(decided, |evaluation| evaluation.binary(precedence + 1));
            left = match self.apply(operator, left, right) {
                Some(value) => value,
                // Division by zero is an error only where it is evaluated, which is nowhere that compiles.
                None => Value {
                    bits: 0,
                    unsigned: left.unsigned || right.unsigned,
                },
            };
        }
    }

    fn apply(&self, operator: Punct, left: Value, right: Value) -> Option<Value> {
        let to_left = match operator {
            Punct::ShiftLeft => true,
            Punct::ShiftRight => false,
            _ => return apply(operator, left, right),
        };
        Some(match self.expansion.family() {
            Family::Gcc => shift(left, right, to_left),
            // To clang a negative distance is a long one: to the left nothing remains, to the right the sign.
            Family::Clang => {
                let bits = right.bits.min(if to_left { 64 } else { 63 });
                shift(left, Value { bits, ..right }, to_left)
            }
        })
    }

    fn unary(&mut self) -> Value {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            self.expansion.budget = 1;
            return self.fail();
        }
        let token = self.take();
        let value = match token.kind {
            Kind::Punct(Punct::Not) => Value::of(!self.unary().holds()),
            Kind::Punct(Punct::Tilde) => {
                let value = self.unary();
                Value {
                    bits: !value.bits,
                    ..value
                }
            }
            Kind::Punct(Punct::Minus) => {
                let value = self.unary();
                Value {
                    bits: value.bits.wrapping_neg(),
                    ..value
                }
            }
            Kind::Punct(Punct::Plus) => self.unary(),
            Kind::Punct(Punct::Open) => {
                let value = self.conditional();
                if self.take().kind == Kind::Punct(Punct::Close) {
                    value
                } else {
                    self.fail()
                }
            }
            Kind::Punct(Punct::Hash) => self.assertion(),
            _ => self.primary(token),
        };
        self.depth -= 1;
        value
    }

    fn primary(&mut self, token: Token) -> Value {
        let mode = self.expansion.mode();
        match token.kind {
            Kind::Number => {
                let text = self.expansion.library.names.get(token.name);
                match number::integer(text) {
                    Some(value) => value,
                    None => self.fail(),
                }
            }
            Kind::Character => {
                let text = self.expansion.library.names.get(token.name);
                match number::character(text, mode) {
                    Some(value) => value,
                    None => self.fail(),
                }
            }
            Kind::Word if token.name == names::DEFINED => self.defined(),
            Kind::Word if mode.booleans => Value::of(token.name == names::TRUE),
            Kind::Word => Value::of(false),
            _ => self.fail(),
        }
    }

    /// `defined X` or `defined(X)`
    fn defined(&mut self) -> Value {
        debug_assert!(self.ahead.is_none());
        let first = self.expansion.next_raw();
        let (word, closed) = if first.kind == Kind::Punct(Punct::Open) {
            let word = self.expansion.next_raw();
            let close = self.expansion.next_raw();
            (word, close.kind == Kind::Punct(Punct::Close))
        } else {
            (first, true)
        };
        let is_name = word.kind == Kind::Word
            || (self.expansion.mode().cxx && matches!(word.kind, Kind::Punct(_)));
        if !is_name || !closed {
            return self.fail();
        }
        Value::of(self.expansion.macro_of(word.name) != MacroId::NONE)
    }

    /// gcc's `#machine(x86_64)`, which the source may have asserted and the compiler may know.
    fn assertion(&mut self) -> Value {
        self.expansion.repeatable = false;
        let mut text = vec![b'#'];
        let word = self.expansion.next_raw();
        text.extend_from_slice(self.expansion.library.names.get(word.name));
        let open = self.expansion.next_raw();
        if open.kind == Kind::Punct(Punct::Open) {
            text.push(b'(');
            loop {
                let token = self.expansion.next_raw();
                if token.kind == Kind::End {
                    return self.fail();
                }
                text.extend_from_slice(self.expansion.library.names.get(token.name));
                if token.kind == Kind::Punct(Punct::Close) {
                    break;
                }
            }
        } else {
            self.ahead = Some(open);
        }
        Value::of(self.expansion.facts.asserted(&text).unwrap_or(false))
    }
}

fn precedence(operator: Punct) -> Option<u8> {
    Some(match operator {
        Punct::Or => 1,
        Punct::And => 2,
        Punct::BitOr => 3,
        Punct::Caret => 4,
        Punct::BitAnd => 5,
        Punct::Equal | Punct::NotEqual => 6,
        Punct::Less | Punct::Greater | Punct::LessEqual | Punct::GreaterEqual => 7,
        Punct::ShiftLeft | Punct::ShiftRight => 8,
        Punct::Plus | Punct::Minus => 9,
        Punct::Star | Punct::Slash | Punct::Percent => 10,
        _ => return None,
    })
}

/// What an operator gives; `None` for a division by zero.
fn apply(operator: Punct, left: Value, right: Value) -> Option<Value> {
    let unsigned = left.unsigned || right.unsigned;
    let (a, b) = (left.bits, right.bits);
    let (sa, sb) = (a as i64, b as i64);
    let number = |bits| Some(Value { bits, unsigned });
    let truth = |holds| Some(Value::of(holds));
    match operator {
        Punct::Or => truth(left.holds() || right.holds()),
        Punct::And => truth(left.holds() && right.holds()),
        Punct::BitOr => number(a | b),
        Punct::Caret => number(a ^ b),
        Punct::BitAnd => number(a & b),
        Punct::Equal => truth(a == b),
        Punct::NotEqual => truth(a != b),
        Punct::Less => truth(if unsigned { a < b } else { sa < sb }),
        Punct::Greater => truth(if unsigned { a > b } else { sa > sb }),
        Punct::LessEqual => truth(if unsigned { a <= b } else { sa <= sb }),
        Punct::GreaterEqual => truth(if unsigned { a >= b } else { sa >= sb }),
        Punct::Plus => number(a.wrapping_add(b)),
        Punct::Minus => number(a.wrapping_sub(b)),
        Punct::Star => number(a.wrapping_mul(b)),
        Punct::Slash if unsigned => number(a.checked_div(b)?),
        Punct::Slash if sb != 0 => number(sa.wrapping_div(sb) as u64),
        Punct::Percent if unsigned => number(a.checked_rem(b)?),
        Punct::Percent if sb != 0 => number(sa.wrapping_rem(sb) as u64),
        _ => None,
    }
}

/// A negative distance shifts the other way, as gcc has it; one too far leaves nothing but the sign.
fn shift(value: Value, by: Value, mut to_left: bool) -> Value {
    let mut distance = by.bits;
    if !by.unsigned && (distance as i64) < 0 {
        distance = distance.wrapping_neg();
        to_left = !to_left;
    }
    let signed = value.bits as i64;
    let bits = match (to_left, distance) {
        (true, 64..) => 0,
        (true, _) => value.bits << distance,
        (false, 64..) if value.unsigned || signed >= 0 => 0,
        (false, 64..) => u64::MAX,
        (false, _) if value.unsigned => value.bits >> distance,
        (false, _) => (signed >> distance) as u64,
    };
    Value {
        bits,
        unsigned: value.unsigned,
    }
}
