//! The part of CDDL (RFC 8610) that `spec/formats.cddl` uses: read, checked for undefined names, held against bytes.
//!
//! Small on purpose: the published validators bring more crates than this workspace has, or do not build without them. The
//! CBOR reader below shares no code with the one that the roles use, and takes deterministic encodings only.

use std::collections::BTreeMap;

/// A value of the kind of CBOR that the protocol allows (rule GEN-4).
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// A whole number.
    Int(i128),
    /// A byte string.
    Bytes(Vec<u8>),
    /// A text string.
    Text(String),
    /// An array.
    Array(Vec<Value>),
    /// A truth value.
    Bool(bool),
    /// Nothing.
    Null,
}

/// Reads exactly one deterministically encoded value.
pub(crate) fn read(bytes: &[u8]) -> Result<Value, String> {
    let mut rest = bytes;
    let value = read_value(&mut rest)?;
    if rest.is_empty() { Ok(value) } else { Err(format!("{} bytes remain", rest.len())) }
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], String> {
    let (taken, left) = rest.split_at_checked(length).ok_or("the bytes end too early")?;
    *rest = left;
    Ok(taken)
}

/// The argument of a head, in its shortest form only.
fn argument(rest: &mut &[u8], low: u8) -> Result<u64, String> {
    let width = match low {
        0..=23 => return Ok(u64::from(low)),
        24..=27 => 1usize << (low - 24),
        _ => return Err(format!("additional information {low}")),
    };
    let number = take(rest, width)?.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
    let shorter = if width == 1 { number < 24 } else { number >> (width * 4) == 0 };
    if shorter { Err(format!("{number} is not in its shortest form")) } else { Ok(number) }
}

fn read_value(rest: &mut &[u8]) -> Result<Value, String> {
    let head = take(rest, 1)?[0];
    let (major, low) = (head >> 5, head & 31);
    if major == 7 {
        return match low {
            20 => Ok(Value::Bool(false)),
            21 => Ok(Value::Bool(true)),
            22 => Ok(Value::Null),
            _ => Err(format!("simple value {low}")),
        };
    }
    let number = argument(rest, low)?;
    match major {
        0 => Ok(Value::Int(i128::from(number))),
        1 => Ok(Value::Int(-1 - i128::from(number))),
        2 => Ok(Value::Bytes(take(rest, number as usize)?.to_vec())),
        3 => String::from_utf8(take(rest, number as usize)?.to_vec()).map(Value::Text).map_err(|e| e.to_string()),
        4 => (0..number).map(|_| read_value(rest)).collect::<Result<_, _>>().map(Value::Array),
        _ => Err(format!("major type {major}")),
    }
}

/// A type.
#[derive(Clone, Debug)]
enum Type {
    Choice(Vec<Type>),
    Name(String),
    Range(i128, i128),
    Text(String),
    /// `base .size low..high`.
    Size(Box<Type>, usize, usize),
    /// `bstr .cbor inner`.
    Cbor(Box<Type>),
    Array(Vec<Member>),
}

/// A member of an array: how often, and what.
#[derive(Clone, Debug)]
struct Member {
    least: usize,
    most: usize,
    key: Option<String>,
    of: Type,
}

/// The rules of a grammar, by name.
pub(crate) struct Grammar {
    rules: BTreeMap<String, Type>,
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Number(i128),
    Text(String),
    Sign(&'static str),
}

const SIGNS: [&str; 12] = ["..", "=", "/", "[", "]", "(", ")", ",", ":", "?", "*", "+"];

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut out = Vec::new();
    for line in text.lines() {
        let mut rest = line.split(';').next().unwrap_or("").trim_start();
        while let Some(first) = rest.chars().next() {
            let while_in = |allowed: fn(char) -> bool| rest.find(|c| !allowed(c)).unwrap_or(rest.len());
            let length = if first.is_ascii_digit() {
                let length = while_in(|c| c.is_ascii_digit());
                out.push(Token::Number(rest[..length].parse().map_err(|_| format!("a number in {line:?}"))?));
                length
            } else if first.is_ascii_alphabetic() || (first == '.' && !rest.starts_with("..")) {
                let length = while_in(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.');
                out.push(Token::Word(rest[..length].into()));
                length
            } else if let Some(quoted) = rest.strip_prefix('"') {
                let end = quoted.find('"').ok_or_else(|| format!("an open quotation in {line:?}"))?;
                out.push(Token::Text(quoted[..end].into()));
                end + 2
            } else {
                let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign));
                let sign = sign.ok_or_else(|| format!("{first:?} in {line:?}"))?;
                out.push(Token::Sign(sign));
                sign.len()
            };
            rest = rest[length..].trim_start();
        }
    }
    Ok(out)
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

impl Parser {
    fn peek(&self, ahead: usize) -> Option<&Token> {
        self.tokens.get(self.at + ahead)
    }

    fn is(&self, ahead: usize, sign: &str) -> bool {
        matches!(self.peek(ahead), Some(Token::Sign(found)) if *found == sign)
    }

    fn accept(&mut self, sign: &str) -> bool {
        let found = self.is(0, sign);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, sign: &str) -> Result<(), String> {
        if self.accept(sign) { Ok(()) } else { Err(format!("{sign:?} expected, found {:?}", self.peek(0))) }
    }

    fn number(&mut self) -> Option<i128> {
        let Some(Token::Number(number)) = self.peek(0) else { return None };
        let number = *number;
        self.at += 1;
        Some(number)
    }

    fn word(&mut self) -> Result<String, String> {
        let Some(Token::Word(word)) = self.peek(0) else {
            return Err(format!("a name expected, found {:?}", self.peek(0)));
        };
        let word = word.clone();
        self.at += 1;
        Ok(word)
    }

    fn range(&mut self) -> Result<(i128, i128), String> {
        let low = self.number().ok_or("a number expected")?;
        let high = if self.accept("..") { self.number().ok_or("a number expected behind ..")? } else { low };
        Ok((low, high))
    }

    fn choice(&mut self) -> Result<Type, String> {
        let mut types = vec![self.controlled()?];
        while self.accept("/") {
            types.push(self.controlled()?);
        }
        Ok(if types.len() == 1 { types.remove(0) } else { Type::Choice(types) })
    }

    /// A type with its control operator.
    fn controlled(&mut self) -> Result<Type, String> {
        let base = self.single()?;
        let Some(Token::Word(operator)) = self.peek(0) else { return Ok(base) };
        match operator.as_str() {
            ".size" => {
                self.at += 1;
                let enclosed = self.accept("(");
                let (low, high) = self.range()?;
                if enclosed {
                    self.expect(")")?;
                }
                Ok(Type::Size(Box::new(base), low as usize, high as usize))
            }
            ".cbor" => {
                self.at += 1;
                Ok(Type::Cbor(Box::new(self.single()?)))
            }
            _ => Ok(base),
        }
    }

    fn single(&mut self) -> Result<Type, String> {
        if self.accept("(") {
            let inner = self.choice()?;
            self.expect(")")?;
            return Ok(inner);
        }
        if self.accept("[") {
            return self.array();
        }
        match self.peek(0) {
            Some(Token::Number(_)) => self.range().map(|(low, high)| Type::Range(low, high)),
            Some(Token::Text(text)) => {
                let text = text.clone();
                self.at += 1;
                Ok(Type::Text(text))
            }
            _ => self.word().map(Type::Name),
        }
    }

    fn array(&mut self) -> Result<Type, String> {
        let mut members = Vec::new();
        while !self.accept("]") {
            members.push(self.member()?);
            if !self.is(0, "]") {
                self.expect(",")?;
            }
        }
        Ok(Type::Array(members))
    }

    fn member(&mut self) -> Result<Member, String> {
        let (least, most) = self.occurrence()?;
        let key = if self.is(1, ":") {
            let key = self.word()?;
            self.expect(":")?;
            Some(key)
        } else {
            None
        };
        Ok(Member { least, most, key, of: self.choice()? })
    }

    fn occurrence(&mut self) -> Result<(usize, usize), String> {
        if self.accept("?") {
            return Ok((0, 1));
        }
        if self.accept("+") {
            return Ok((1, usize::MAX));
        }
        let least = if self.is(1, "*") { self.number() } else { None };
        if !self.accept("*") {
            return Ok((1, 1));
        }
        let most = self.number().map_or(usize::MAX, |most| most as usize);
        Ok((least.unwrap_or(0) as usize, most))
    }
}

const PRELUDE: [&str; 6] = ["bstr", "tstr", "uint", "int", "bool", "null"];

impl Grammar {
    /// Reads a grammar.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut parser = Parser { tokens: tokens(text)?, at: 0 };
        let mut rules = BTreeMap::new();
        while parser.peek(0).is_some() {
            let name = parser.word()?;
            parser.expect("=").map_err(|error| format!("{name}: {error}"))?;
            let of = parser.choice().map_err(|error| format!("{name}: {error}"))?;
            if rules.insert(name.clone(), of).is_some() {
                return Err(format!("{name} is defined twice"));
            }
        }
        Ok(Grammar { rules })
    }

    /// Names that are used and not defined.
    pub(crate) fn undefined(&self) -> Vec<String> {
        let mut out = Vec::new();
        for (rule, of) in &self.rules {
            self.undefined_in(rule, of, &mut out);
        }
        out
    }

    fn undefined_in(&self, rule: &str, of: &Type, out: &mut Vec<String>) {
        match of {
            Type::Name(name) if PRELUDE.contains(&name.as_str()) || self.rules.contains_key(name) => {}
            Type::Name(name) => out.push(format!("{rule}: {name} is not defined")),
            Type::Choice(types) => types.iter().for_each(|of| self.undefined_in(rule, of, out)),
            Type::Size(of, ..) | Type::Cbor(of) => self.undefined_in(rule, of, out),
            Type::Array(members) => members.iter().for_each(|member| self.undefined_in(rule, &member.of, out)),
            Type::Range(..) | Type::Text(_) => {}
        }
    }

    /// The names that a rule chooses from.
    pub(crate) fn alternatives(&self, rule: &str) -> Vec<String> {
        let Some(Type::Choice(types)) = self.rules.get(rule) else { return Vec::new() };
        types.iter().map(|of| if let Type::Name(name) = of { name.clone() } else { format!("{of:?}") }).collect()
    }

    /// Holds bytes against a rule.
    pub(crate) fn check(&self, rule: &str, bytes: &[u8]) -> Result<(), String> {
        let of = self.rules.get(rule).ok_or_else(|| format!("there is no rule {rule}"))?;
        let value = read(bytes).map_err(|error| format!("{rule}: {error}"))?;
        self.fits(of, &value).map_err(|error| format!("{rule}: {error}"))
    }

    fn fits(&self, of: &Type, value: &Value) -> Result<(), String> {
        let wrong = || Err(format!("{value:?} is not {of:?}"));
        match (of, value) {
            (Type::Choice(types), _) => {
                let errors: Vec<String> = types.iter().filter_map(|of| self.fits(of, value).err()).collect();
                if errors.len() < types.len() { Ok(()) } else { Err(errors.join("; ")) }
            }
            (Type::Name(name), _) => match self.rules.get(name) {
                Some(of) => self.fits(of, value).map_err(|error| format!("{name}: {error}")),
                None if primitive(name, value) => Ok(()),
                None => wrong(),
            },
            (Type::Range(low, high), Value::Int(number)) if (low..=high).contains(&number) => Ok(()),
            (Type::Text(text), Value::Text(found)) if text == found => Ok(()),
            (Type::Size(of, low, high), _) => {
                self.fits(of, value)?;
                let (found, number) = (size(value), matches!(value, Value::Int(_)));
                if found <= *high && (number || found >= *low) { Ok(()) } else { wrong() }
            }
            (Type::Cbor(inner), Value::Bytes(bytes)) => self.fits(inner, &read(bytes)?),
            (Type::Array(members), Value::Array(values)) => self.fit_all(members, values),
            _ => wrong(),
        }
    }

    /// Members against values, taking as many as fit and giving back what the rest needs.
    fn fit_all(&self, members: &[Member], values: &[Value]) -> Result<(), String> {
        let Some((member, others)) = members.split_first() else {
            return if values.is_empty() { Ok(()) } else { Err(format!("{} further members", values.len())) };
        };
        let mut taken = 0;
        let mut error = None;
        while taken < member.most && taken < values.len() && error.is_none() {
            match self.fits(&member.of, &values[taken]) {
                Ok(()) => taken += 1,
                Err(found) => error = Some(format!("{}: {found}", member.key.as_deref().unwrap_or("member"))),
            }
        }
        for taken in (member.least..=taken).rev() {
            match self.fit_all(others, &values[taken..]) {
                Ok(()) => return Ok(()),
                Err(found) => error = error.or(Some(found)),
            }
        }
        Err(error.unwrap_or_else(|| format!("{} is missing", member.key.as_deref().unwrap_or("a member"))))
    }
}

fn primitive(name: &str, value: &Value) -> bool {
    match value {
        Value::Int(number) => name == "int" || (name == "uint" && *number >= 0),
        Value::Bytes(_) => name == "bstr",
        Value::Text(_) => name == "tstr",
        Value::Bool(_) => name == "bool",
        Value::Null => name == "null",
        Value::Array(_) => false,
    }
}

/// What `.size` measures: the bytes of a string; of a number, those that it needs, which is at most what is said.
fn size(value: &Value) -> usize {
    match value {
        Value::Bytes(bytes) => bytes.len(),
        Value::Text(text) => text.len(),
        Value::Int(number) => (128 - number.leading_zeros() as usize).div_ceil(8),
        _ => usize::MAX,
    }
}
