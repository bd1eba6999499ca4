//! The text of an expression becomes a tree.
//!
//! Precedence as in FHIRPath (<http://hl7.org/fhirpath/N1/#operator-precedence>): `.` and `[]`, then `is` and `as`, then `|`, then `=` and `!=`, then `and`.

use super::PathError;

/// A parsed expression; names are not yet looked up.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expression<'a> {
    /// A name at the beginning: the type of the context, or a member of it.
    Name(&'a str),
    /// `a.b`
    Member(Box<Expression<'a>>, &'a str),
    /// `a[0]`
    Index(Box<Expression<'a>>, usize),
    /// `a as T`, `a.as(T)`, `a.ofType(T)`
    OfType(Box<Expression<'a>>, &'a str),
    /// `a.where(criterion)`
    Where(Box<Expression<'a>>, Box<Expression<'a>>),
    /// `a.extension('url')`
    Extension(Box<Expression<'a>>, &'a str),
    /// `a.exists()`
    Exists(Box<Expression<'a>>),
    /// `resolve() is T`
    ResolvesTo(&'a str),
    /// `a | b`
    Union(Vec<Expression<'a>>),
    /// `a and b`
    And(Box<Expression<'a>>, Box<Expression<'a>>),
    /// `a = literal`, or `!=` where the flag is false
    Compare { left: Box<Expression<'a>>, right: Literal<'a>, equal: bool },
}

/// A constant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Literal<'a> {
    Text(&'a str),
    Boolean(bool),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Token<'a> {
    Name(&'a str),
    Text(&'a str),
    Number(usize),
    Symbol(&'a str),
}

pub(super) fn parse(text: &str) -> Result<Expression<'_>, PathError> {
    let tokens = tokens(text)?;
    let mut parser = Parser { tokens: &tokens };
    let expression = parser.conjunction()?;
    if parser.tokens.is_empty() { Ok(expression) } else { Err(PathError::Syntax("unexpected text at the end")) }
}

fn tokens(text: &str) -> Result<Vec<Token<'_>>, PathError> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = if first == '\'' {
            let end = rest.char_indices().skip(1).find(|(_, character)| *character == '\'');
            let end = end.ok_or(PathError::Syntax("a string without end"))?.0;
            tokens.push(Token::Text(rest.get(1..end).unwrap_or_default()));
            end + 1
        } else if first.is_ascii_alphabetic() || first == '_' {
            let name = leading(rest, |character| character.is_ascii_alphanumeric() || character == '_');
            tokens.push(Token::Name(name));
            name.len()
        } else if first.is_ascii_digit() {
            let digits = leading(rest, |character| character.is_ascii_digit());
            tokens.push(Token::Number(digits.parse().map_err(|_| PathError::Syntax("a number that is too large"))?));
            digits.len()
        } else {
            let symbol = ["!=", "(", ")", "[", "]", ".", "|", "="].into_iter().find(|symbol| rest.starts_with(symbol));
            let symbol = symbol.ok_or(PathError::Syntax("a character that is not understood"))?;
            tokens.push(Token::Symbol(symbol));
            symbol.len()
        };
        rest = rest.get(length..).unwrap_or_default().trim_start();
    }
    Ok(tokens)
}

fn leading(text: &str, keep: fn(char) -> bool) -> &str {
    let end = text.find(|character| !keep(character)).unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

struct Parser<'tokens, 'a> {
    tokens: &'tokens [Token<'a>],
}

impl<'a> Parser<'_, 'a> {
    fn take(&mut self, expected: Token<'_>) -> bool {
        match self.tokens.split_first() {
            Some((first, rest)) if *first == expected => {
                self.tokens = rest;
                true
            }
            _ => false,
        }
    }

    fn expect(&mut self, symbol: &'static str) -> Result<(), PathError> {
        if self.take(Token::Symbol(symbol)) { Ok(()) } else { Err(PathError::Syntax("a bracket is missing")) }
    }

    fn next(&mut self) -> Option<Token<'a>> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(*first)
    }

    fn name(&mut self) -> Result<&'a str, PathError> {
        match self.next() {
            Some(Token::Name(name)) => Ok(name),
            _ => Err(PathError::Syntax("a name was expected")),
        }
    }

    fn conjunction(&mut self) -> Result<Expression<'a>, PathError> {
        let mut left = self.comparison()?;
        while self.take(Token::Name("and")) {
            left = Expression::And(Box::new(left), Box::new(self.comparison()?));
        }
        Ok(left)
    }

    fn comparison(&mut self) -> Result<Expression<'a>, PathError> {
        let left = self.union()?;
        let equal = self.take(Token::Symbol("="));
        if !equal && !self.take(Token::Symbol("!=")) {
            return Ok(left);
        }
        let right = match self.next() {
            Some(Token::Text(text)) => Literal::Text(text),
            Some(Token::Name("true")) => Literal::Boolean(true),
            Some(Token::Name("false")) => Literal::Boolean(false),
            _ => return Err(PathError::Syntax("only strings and booleans are compared")),
        };
        Ok(Expression::Compare { left: Box::new(left), right, equal })
    }

    fn union(&mut self) -> Result<Expression<'a>, PathError> {
        let first = self.typed()?;
        if self.tokens.first() != Some(&Token::Symbol("|")) {
            return Ok(first);
        }
        let mut branches = vec![first];
        while self.take(Token::Symbol("|")) {
            branches.push(self.typed()?);
        }
        Ok(Expression::Union(branches))
    }

    fn typed(&mut self) -> Result<Expression<'a>, PathError> {
        let value = self.postfix()?;
        if self.take(Token::Name("as")) {
            return Ok(Expression::OfType(Box::new(value), self.name()?));
        }
        Ok(value)
    }

    fn postfix(&mut self) -> Result<Expression<'a>, PathError> {
        let mut value = self.primary()?;
        loop {
            if self.take(Token::Symbol(".")) {
                let name = self.name()?;
                value = if self.take(Token::Symbol("(")) {
                    self.call(value, name)?
                } else {
                    Expression::Member(Box::new(value), name)
                };
            } else if self.take(Token::Symbol("[")) {
                let Some(Token::Number(index)) = self.next() else { return Err(PathError::Syntax("an index was expected")) };
                self.expect("]")?;
                value = Expression::Index(Box::new(value), index);
            } else {
                return Ok(value);
            }
        }
    }

    fn primary(&mut self) -> Result<Expression<'a>, PathError> {
        if self.take(Token::Symbol("(")) {
            let inner = self.conjunction()?;
            self.expect(")")?;
            return Ok(inner);
        }
        let name = self.name()?;
        if !self.take(Token::Symbol("(")) {
            return Ok(Expression::Name(name));
        }
        // The one function that is called on the context itself, and only to test its type.
        self.expect(")")?;
        if name != "resolve" || !self.take(Token::Name("is")) {
            return Err(PathError::Syntax("only `resolve() is Type` may begin with a function"));
        }
        Ok(Expression::ResolvesTo(self.name()?))
    }

    fn call(&mut self, value: Expression<'a>, function: &'a str) -> Result<Expression<'a>, PathError> {
        let value = Box::new(value);
        let called = match function {
            "where" => Expression::Where(value, Box::new(self.conjunction()?)),
            "as" | "ofType" => Expression::OfType(value, self.name()?),
            "exists" => Expression::Exists(value),
            "extension" => match self.next() {
                Some(Token::Text(url)) => Expression::Extension(value, url),
                _ => return Err(PathError::Syntax("extension() takes a url")),
            },
            _ => return Err(PathError::Function(function.to_owned())),
        };
        self.expect(")")?;
        Ok(called)
    }
}
