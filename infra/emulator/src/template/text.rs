//! Text of the template whose references are filled in when the resources are made.

/// Text of the template in which references to resources are still open.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Text(Vec<Part>);

/// `!Ref Table` (no attribute) or `!GetAtt Table.Arn`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// Logical id of the resource.
    pub resource: String,
    /// The attribute, `None` for `!Ref`.
    pub attribute: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    Reference(Reference),
}

impl Text {
    /// The text itself, if nothing in it is open.
    pub fn literal(&self) -> Option<String> {
        self.fill(|_| None).ok()
    }

    /// The resources that the text names, in order.
    pub fn references(&self) -> impl Iterator<Item = &Reference> {
        self.0.iter().filter_map(|part| match part {
            Part::Literal(_) => None,
            Part::Reference(reference) => Some(reference),
        })
    }

    /// The text with every reference replaced by what `value` says it stands for.
    ///
    /// # Errors
    /// The first reference for which `value` has nothing.
    pub fn fill(&self, value: impl Fn(&Reference) -> Option<String>) -> Result<String, Reference> {
        self.0.iter().try_fold(String::new(), |filled, part| match part {
            Part::Literal(text) => Ok(filled + text),
            Part::Reference(reference) => {
                value(reference).map(|text| filled + &text).ok_or_else(|| reference.clone())
            }
        })
    }

    pub(super) fn constant(text: impl Into<String>) -> Self {
        Self(vec![Part::Literal(text.into())])
    }

    pub(super) fn reference(reference: Reference) -> Self {
        Self(vec![Part::Reference(reference)])
    }

    /// Literals that meet become one, so that equal texts are equal however they were written.
    pub(super) fn append(&mut self, more: Self) {
        for part in more.0 {
            match (self.0.last_mut(), part) {
                (_, Part::Literal(text)) if text.is_empty() => {}
                (Some(Part::Literal(before)), Part::Literal(text)) => before.push_str(&text),
                (_, part) => self.0.push(part),
            }
        }
    }
}

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.attribute {
            None => write!(f, "!Ref {}", self.resource),
            Some(attribute) => write!(f, "!GetAtt {}.{attribute}", self.resource),
        }
    }
}
