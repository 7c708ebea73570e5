//! The vocabulary of the schema: what a value may look like.

/// What a value may look like.
#[derive(Debug)]
pub enum Shape {
    /// Anything.
    Any,
    /// One of these kinds of scalar.
    Is(u8),
    /// A whole number within bounds, or (if `text`) a string.
    Whole {
        /// Least.
        least: i64,
        /// Most.
        most: i64,
    },
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A string that a test accepts, what it has to be, and the test as a regular expression.
    Pattern(fn(&str) -> bool, &'static str, &'static str),
    /// A list.
    List(&'static Shape),
    /// A list without equal items.
    Unique(&'static Shape),
    /// A mapping with keys that the file chooses.
    Map(Keys, &'static Shape),
    /// A mapping with keys that Compose knows.
    Object(&'static Object),
    /// Any of these, of which no two take the same kind.
    Either(&'static [Shape]),
}

/// Keys that the file chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keys {
    /// Any but the empty one.
    Free,
    /// Letters, digits, `.`, `_` and `-`.
    Names,
    /// As names; what is none is not looked at.
    LooseNames,
}

/// A mapping with keys that Compose knows.
#[derive(Debug)]
pub struct Object {
    /// What a person calls it.
    pub noun: &'static str,
    /// Its keys.
    pub attributes: &'static [(&'static str, Shape)],
    /// Keys that must be there.
    pub required: &'static [&'static str],
    /// Takes keys that Compose does not know.
    pub open: bool,
    /// Takes `x-` keys.
    pub extensions: bool,
}

/// A string.
pub const STRING: u8 = 1;
/// A whole number.
pub const INTEGER: u8 = 2;
/// Any number.
pub const NUMBER: u8 = 4;
/// A boolean.
pub const BOOLEAN: u8 = 8;
/// Nothing.
pub const NULL: u8 = 16;

/// A string.
pub const TEXT: Shape = Shape::Is(STRING);
/// A boolean or a word for one.
pub const FLAG: Shape = Shape::Is(BOOLEAN | STRING);
/// A whole number or a string.
pub const INTEGER_OR_TEXT: Shape = Shape::Is(INTEGER | STRING);
/// A number or a string.
pub const NUMBER_OR_TEXT: Shape = Shape::Is(NUMBER | STRING);
/// A list of strings.
pub const TEXTS: Shape = Shape::List(&TEXT);
/// A list of different strings.
pub const UNIQUE_TEXTS: Shape = Shape::Unique(&TEXT);
/// A string or a list of different strings.
pub const TEXT_OR_LIST: Shape = Shape::Either(&[TEXT, UNIQUE_TEXTS]);
/// Names and values in either spelling.
pub const LIST_OR_DICT: Shape =
    Shape::Either(&[Shape::Map(Keys::Free, &Shape::Is(STRING | NUMBER | BOOLEAN | NULL)), UNIQUE_TEXTS]);
/// Options of a driver.
pub const OPTIONS: Shape = Shape::Map(Keys::Free, &Shape::Is(STRING | NUMBER));

impl Object {
    /// Makes an object that takes `x-` keys.
    pub const fn new(noun: &'static str, attributes: &'static [(&'static str, Shape)]) -> Self {
        Self { noun, attributes, required: &[], open: false, extensions: true }
    }

    /// Demands keys.
    pub const fn requires(self, required: &'static [&'static str]) -> Self {
        Self { required, ..self }
    }

    /// Refuses `x-` keys.
    pub const fn closed(self) -> Self {
        Self { extensions: false, ..self }
    }

    /// Takes keys that Compose does not know.
    pub const fn open(self) -> Self {
        Self { open: true, ..self }
    }
}

impl Shape {
    /// Returns what the shape asks for, for a person.
    pub fn describe(&self) -> String {
        match self {
            Self::Any => "anything".into(),
            Self::Is(kinds) => {
                let names = [
                    (STRING, "a string"),
                    (INTEGER, "a whole number"),
                    (NUMBER, "a number"),
                    (BOOLEAN, "a boolean"),
                    (NULL, "nothing"),
                ];
                // Nothing is taken beside other things: who wrote something wrong did not mean it.
                let kinds = if *kinds == NULL { NULL } else { kinds & !NULL };
                // A boolean may be a word for one, as one in quotes.
                let kinds = if kinds == BOOLEAN | STRING { BOOLEAN } else { kinds };
                let names: Vec<&str> =
                    names.iter().filter(|(kind, _)| kinds & kind != 0).map(|(_, name)| *name).collect();
                join(&names)
            }
            Self::Whole { least, most } if *most == i64::MAX => format!("a whole number from {least}"),
            Self::Whole { least, most } => format!("a whole number from {least} to {most}"),
            Self::Choice(words) => {
                let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
                join(&words.iter().map(String::as_str).collect::<Vec<_>>())
            }
            Self::Pattern(_, what, _) => (*what).into(),
            Self::List(_) | Self::Unique(_) => "a list".into(),
            Self::Map(..) | Self::Object(_) => "a mapping".into(),
            Self::Either(shapes) => {
                let others = shapes.iter().filter(|shape| !matches!(shape, Self::Is(NULL)));
                let mut names: Vec<String> = others.map(Self::describe).collect();
                names.dedup();
                join(&names.iter().map(String::as_str).collect::<Vec<_>>())
            }
        }
    }
}

fn join(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).into(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}
