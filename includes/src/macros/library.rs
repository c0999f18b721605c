//! Everything that was lexed: sources, their macros, their conditions, each under a number.
//!
//! There are two shelves: what is shared by all questions, and what is one question's own (its unit, `-D`) and goes with it.

use super::{Body, Table};
use crate::lex::{Remarks, Source, Span, Token, header_tokens, tokens};
use crate::names::{Name, Names};
use std::sync::Arc;

const OWN: u32 = 1 << 31;

macro_rules! ids {
    ($($(#[$doc:meta])* $id:ident,)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(crate) struct $id(u32);

        impl $id {
            pub(crate) fn is_own(self) -> bool {
                self.0 & OWN != 0
            }

            fn index(self) -> usize {
                (self.0 & !OWN) as usize
            }
        }
    )*};
}

macro_rules! offset {
    ($($id:ident,)*) => {$(
        impl $id {
            /// The one that is `by` further on in the same source.
            pub(crate) fn offset(self, by: u32) -> $id {
                $id(self.0 + by)
            }
        }
    )*};
}

ids! {
    /// A macro definition; the same number never stands for another text while it can be remembered.
    MacroId,
    SourceId,
    ConditionId,
}

offset! { MacroId, ConditionId, }

impl MacroId {
    /// Not defined.
    pub(crate) const NONE: MacroId = MacroId(0);

    /// A number that stands for no macro, only for something that conditions depend on.
    pub(crate) fn token(number: u32) -> MacroId {
        MacroId(number + 1)
    }
}

/// A macro whose value is not in any text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Builtin {
    Line,
    File,
    FileName,
    BaseFile,
    Level,
    Counter,
    /// `__DATE__` and `__TIME__`
    Now,
    Stamp,
    HasInclude {
        next: bool,
    },
    HasEmbed,
    /// Something that only the compiler knows: `__has_builtin(…)`.
    Asked,
    Pragma,
}

/// One definition.
#[derive(Debug)]
pub(crate) struct Macro {
    source: SourceId,
    text: Span,
    pub(crate) remarks: Remarks,
    pub(crate) builtin: Option<Builtin>,
    body: Option<Box<Body>>,
}

/// What a condition was decided by, a range of what all conditions have read, and how.
#[derive(Debug, Clone, Copy)]
struct Memo {
    start: u32,
    len: u16,
    holds: bool,
}

/// Outcomes that are remembered of one condition.
const MEMOS: usize = 3;

/// The condition of an `#if` or `#elif`.
#[derive(Debug)]
pub(crate) struct Condition {
    source: SourceId,
    span: Span,
    /// Offset of the directive.
    pub(crate) at: u32,
    tokens: Option<Box<[Token]>>,
    memos: [Option<Memo>; MEMOS],
}

/// A lexed source, and the numbers of its macros and conditions.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) source: Arc<Source>,
    pub(crate) macros: MacroId,
    pub(crate) conditions: ConditionId,
}

#[derive(Debug, Default)]
struct Shelf {
    sources: Vec<Loaded>,
    macros: Vec<Macro>,
    conditions: Vec<Condition>,
}

/// All that was lexed.
#[derive(Debug)]
pub(crate) struct Library {
    pub(crate) names: Names,
    shared: Shelf,
    own: Shelf,
    /// What conditions were decided by.
    reads: Vec<(Name, MacroId)>,
    /// About how much memory the shared shelf takes, in bytes.
    pub(crate) memory: usize,
}

impl Library {
    pub(crate) fn new() -> Library {
        let mut library = Library {
            names: Names::new(),
            shared: Shelf::default(),
            own: Shelf::default(),
            reads: Vec::new(),
            memory: 0,
        };
        // Number 0 is no macro.
        library.builtin(Builtin::Now);
        library
    }

    fn shelf(&self, own: bool) -> &Shelf {
        if own { &self.own } else { &self.shared }
    }

    fn shelf_mut(&mut self, own: bool) -> &mut Shelf {
        if own { &mut self.own } else { &mut self.shared }
    }

    /// Puts a source on one of the shelves.
    pub(crate) fn add(&mut self, source: Source, own: bool) -> SourceId {
        if !own {
            self.memory += source.memory()
                + source.definitions.len() * size_of::<Macro>()
                + source.conditions.len() * size_of::<Condition>();
        }
        let mark = if own { OWN } else { 0 };
        let shelf = self.shelf_mut(own);
        let id = SourceId(shelf.sources.len() as u32 | mark);
        let macros = MacroId(shelf.macros.len() as u32 | mark);
        let conditions = ConditionId(shelf.conditions.len() as u32 | mark);
        shelf
            .macros
            .extend(source.definitions.iter().map(|definition| Macro {
                source: id,
                text: definition.text,
                remarks: definition.remarks,
                builtin: None,
                body: None,
            }));
        shelf
            .conditions
            .extend(source.conditions.iter().map(|&(span, at)| Condition {
                source: id,
                span,
                at,
                tokens: None,
                memos: [None; MEMOS],
            }));
        shelf.sources.push(Loaded {
            source: Arc::new(source),
            macros,
            conditions,
        });
        id
    }

    pub(crate) fn builtin(&mut self, builtin: Builtin) -> MacroId {
        let id = MacroId(self.shared.macros.len() as u32);
        self.shared.macros.push(Macro {
            source: SourceId(0),
            text: Span::EMPTY,
            remarks: Remarks::default(),
            builtin: Some(builtin),
            body: None,
        });
        id
    }

    /// Forgets what was one question's own.
    pub(crate) fn clear_own(&mut self) {
        self.own.sources.clear();
        self.own.macros.clear();
        self.own.conditions.clear();
    }

    pub(crate) fn loaded(&self, id: SourceId) -> &Loaded {
        &self.shelf(id.is_own()).sources[id.index()]
    }

    pub(crate) fn source(&self, id: SourceId) -> &Source {
        &self.loaded(id).source
    }

    pub(crate) fn definition(&self, id: MacroId) -> &Macro {
        &self.shelf(id.is_own()).macros[id.index()]
    }

    /// Does the macro's text hold a pragma that changes macros or what is included?
    pub(crate) fn holds_macro_pragma(&self, id: MacroId) -> bool {
        let definition = self.definition(id);
        let text = self.source(definition.source).get(definition.text);
        [&b"push_macro"[..], b"pop_macro", b"\"once\""]
            .iter()
            .any(|word| memchr::memmem::find(text, word).is_some())
    }

    /// The macro's parameters and tokens, read now if they were not before.
    pub(crate) fn body(&mut self, id: MacroId) -> &Body {
        if self.definition(id).body.is_none() {
            let definition = self.definition(id);
            let (source, text) = (definition.source, definition.text);
            let shelf = if source.is_own() {
                &self.own
            } else {
                &self.shared
            };
            let source = &shelf.sources[source.index()].source;
            let body = Body::read(source.get(text), source.mode, &mut self.names);
            self.memory += body.memory();
            self.shelf_mut(id.is_own()).macros[id.index()].body = Some(Box::new(body));
        }
        self.read_body(id).expect("it was just read")
    }

    /// The same of a macro that was read before.
    pub(crate) fn read_body(&self, id: MacroId) -> Option<&Body> {
        self.definition(id).body.as_deref()
    }

    pub(crate) fn condition(&self, id: ConditionId) -> &Condition {
        &self.shelf(id.is_own()).conditions[id.index()]
    }

    fn condition_mut(&mut self, id: ConditionId) -> &mut Condition {
        &mut self.shelf_mut(id.is_own()).conditions[id.index()]
    }

    /// How the condition was decided before with these very macros.
    pub(crate) fn recall(&self, condition: &Condition, table: &Table) -> Option<bool> {
        condition
            .memos
            .iter()
            .map_while(|memo| *memo)
            .find_map(|memo| {
                let start = memo.start as usize;
                self.reads[start..start + usize::from(memo.len)]
                    .iter()
                    .all(|&(name, value)| table.get(name) == value)
                    .then_some(memo.holds)
            })
    }

    /// Remembers how a condition was decided, and by which macros.
    pub(crate) fn remember(&mut self, id: ConditionId, reads: &[(Name, MacroId)], holds: bool) {
        // A unit's own conditions are met once.
        if id.is_own() {
            return;
        }
        let memo = Memo {
            start: self.reads.len() as u32,
            len: reads.len() as u16,
            holds,
        };
        self.reads.extend_from_slice(reads);
        self.memory += size_of_val(reads);
        let memos = &mut self.condition_mut(id).memos;
        memos.rotate_right(1);
        memos[0] = Some(memo);
    }

    /// Appends the condition's tokens to `out`.
    pub(crate) fn condition_tokens(&mut self, id: ConditionId, out: &mut Vec<Token>) {
        if let Some(tokens) = &self.condition(id).tokens {
            out.extend_from_slice(tokens);
            return;
        }
        let condition = self.condition(id);
        let (source, span) = (condition.source, condition.span);
        let start = out.len();
        self.span_tokens(source, span, out);
        let read: Box<[Token]> = out[start..].into();
        self.memory += size_of_val(&read[..]);
        self.condition_mut(id).tokens = Some(read);
    }

    /// Appends the tokens of this text of the source to `out`.
    pub(crate) fn span_tokens(&mut self, id: SourceId, span: Span, out: &mut Vec<Token>) {
        let shelf = if id.is_own() { &self.own } else { &self.shared };
        let source = &shelf.sources[id.index()].source;
        tokens(source.get(span), source.mode, &mut self.names, out);
    }

    /// The same of the text behind `#include`.
    pub(crate) fn header_tokens(&mut self, id: SourceId, span: Span, out: &mut Vec<Token>) {
        let shelf = if id.is_own() { &self.own } else { &self.shared };
        let source = &shelf.sources[id.index()].source;
        header_tokens(source.get(span), source.mode, &mut self.names, out);
    }
}
