//! The grammar of label selectors in query strings.

use super::SelectorError;
use super::requirement::{Operator, Requirement};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Token<'a> {
    Word(&'a str),
    Symbol(&'a str),
    End,
}

struct Tokens<'a> {
    rest: &'a str,
}

fn is_symbol(c: char) -> bool {
    matches!(c, '=' | '!' | '(' | ')' | ',' | '>' | '<')
}

impl<'a> Tokens<'a> {
    fn next(&mut self) -> Token<'a> {
        let text = self.rest.trim_start();
        let Some(first) = text.chars().next() else {
            self.rest = "";
            return Token::End;
        };
        let len = if text.starts_with("==") || text.starts_with("!=") {
            2
        } else if is_symbol(first) {
            1
        } else {
            text.find(|c: char| is_symbol(c) || c.is_whitespace()).unwrap_or(text.len())
        };
        let (token, rest) = text.split_at(len);
        self.rest = rest;
        if is_symbol(first) { Token::Symbol(token) } else { Token::Word(token) }
    }

    fn peek(&self) -> Token<'a> {
        Self { rest: self.rest }.next()
    }
}

fn unexpected(found: Token<'_>, expected: &str) -> SelectorError {
    let found = match found {
        Token::Word(s) | Token::Symbol(s) => s,
        Token::End => "",
    };
    SelectorError(format!("found '{found}', expected: {expected}"))
}

pub(super) fn label_selector(text: &str) -> Result<Vec<Requirement>, SelectorError> {
    let mut tokens = Tokens { rest: text };
    let mut out = Vec::new();
    if tokens.peek() == Token::End {
        return Ok(out);
    }
    loop {
        super::bounded(out.len() + 1)?;
        out.push(requirement(&mut tokens).map_err(|e| SelectorError(format!("unable to parse requirement: {}", e.0)))?);
        match tokens.next() {
            Token::End => return Ok(out),
            Token::Symbol(",") => {}
            other => return Err(unexpected(other, "',' or 'end of string'")),
        }
    }
}

fn requirement(tokens: &mut Tokens<'_>) -> Result<Requirement, SelectorError> {
    let key = match tokens.next() {
        Token::Symbol("!") => match tokens.next() {
            Token::Word(key) => return Requirement::new(key, Operator::DoesNotExist, Vec::new()),
            other => return Err(unexpected(other, "identifier after '!'")),
        },
        Token::Word(key) => key,
        other => return Err(unexpected(other, "!, identifier")),
    };
    if matches!(tokens.peek(), Token::End | Token::Symbol(",")) {
        return Requirement::new(key, Operator::Exists, Vec::new());
    }
    let operator = match tokens.next() {
        Token::Symbol("=" | "==") => Operator::Equals,
        Token::Symbol("!=") => Operator::NotEquals,
        Token::Symbol(">") => Operator::GreaterThan,
        Token::Symbol("<") => Operator::LessThan,
        Token::Word("in") => Operator::In,
        Token::Word("notin") => Operator::NotIn,
        other => return Err(unexpected(other, "in, notin, =, ==, !=, gt, lt")),
    };
    let values = if matches!(operator, Operator::In | Operator::NotIn) { value_list(tokens)? } else { vec![one_value(tokens)?] };
    Requirement::new(key, operator, values)
}

fn one_value(tokens: &mut Tokens<'_>) -> Result<String, SelectorError> {
    match tokens.peek() {
        Token::End | Token::Symbol(",") => Ok(String::new()),
        Token::Word(value) => {
            tokens.next();
            Ok(value.into())
        }
        other => Err(unexpected(other, "identifier")),
    }
}

/// `(a,b)`; an empty place between commas or parentheses is the empty value.
fn value_list(tokens: &mut Tokens<'_>) -> Result<Vec<String>, SelectorError> {
    match tokens.next() {
        Token::Symbol("(") => {}
        other => return Err(unexpected(other, "'('")),
    }
    let mut out = Vec::new();
    loop {
        let value = match tokens.peek() {
            Token::Word(value) => {
                tokens.next();
                value
            }
            _ => "",
        };
        out.push(value.to_owned());
        match tokens.next() {
            Token::Symbol(",") => {}
            Token::Symbol(")") => return Ok(out),
            other => return Err(unexpected(other, "',' or ')'")),
        }
    }
}
