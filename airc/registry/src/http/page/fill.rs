//! Text into HTML.

use std::fmt::{self, Display, Write as _};

/// Text as HTML has it, between tags and within quoted attributes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Escaped<'a>(pub(super) &'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in self.0.split_inclusive(['&', '<', '>', '"', '\'']) {
            let (text, entity) = match part.as_bytes().last() {
                Some(b'&') => (part.strip_suffix('&'), "&amp;"),
                Some(b'<') => (part.strip_suffix('<'), "&lt;"),
                Some(b'>') => (part.strip_suffix('>'), "&gt;"),
                Some(b'"') => (part.strip_suffix('"'), "&quot;"),
                Some(b'\'') => (part.strip_suffix('\''), "&#39;"),
                _ => (None, ""),
            };
            f.write_str(text.unwrap_or(part))?;
            f.write_str(entity)?;
        }
        Ok(())
    }
}

/// The template with values for its `{{names}}`. Values are not looked into: what stands in one
/// like a name stays as it is.
pub(super) fn fill(template: &str, values: &[(&str, &dyn Display)]) -> String {
    let mut filled = String::with_capacity(template.len() * 2);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        filled.push_str(before);
        let Some((name, behind)) = after.split_once("}}") else {
            break;
        };
        if let Some((_, value)) = values.iter().find(|(known, _)| *known == name) {
            // Writing to a string does not fail.
            let _ = write!(filled, "{value}");
        }
        rest = behind;
    }
    filled.push_str(rest);
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped() {
        assert_eq!(
            Escaped("a<b>&\"'é").to_string(),
            "a&lt;b&gt;&amp;&quot;&#39;é"
        );
        assert_eq!(Escaped("").to_string(), "");
        assert_eq!(Escaped("<<").to_string(), "&lt;&lt;");
    }

    #[test]
    fn values_are_not_looked_into() {
        let filled = fill("{{a}}-{{b}}", &[("a", &"{{b}}"), ("b", &"x")]);
        assert_eq!(filled, "{{b}}-x");
    }
}
