//! What to say of a key that nobody reads.

/// An error of the TOML reader as one line: where, what, and the nearest key for an unknown one.
pub(crate) fn explain(error: &toml::de::Error, text: &str) -> String {
    let line = error.span().map_or_else(String::new, |span| {
        let before = text.get(..span.start).unwrap_or(text);
        format!("line {}: ", before.matches('\n').count() + 1)
    });
    line + &message(error)
}

/// [`explain`] without where it is.
pub(crate) fn message(error: &toml::de::Error) -> String {
    let message = error.message().lines().next().unwrap_or_default();
    match unknown(message) {
        Some((what, name, known)) => {
            format!("unknown {what} `{name}`{}", suggestion(&name, &known))
        }
        None => message.to_string(),
    }
}

/// What is unknown, its name and what is known, from serde's "unknown field `x`, expected ...".
fn unknown(message: &str) -> Option<(&'static str, String, Vec<&str>)> {
    let (what, rest) = match message.strip_prefix("unknown field ") {
        Some(rest) => ("key", rest),
        None => ("value", message.strip_prefix("unknown variant ")?),
    };
    let mut quoted = rest.split('`').skip(1).step_by(2);
    let name = quoted.next()?.to_string();
    Some((what, name, quoted.collect()))
}

fn suggestion(name: &str, known: &[&str]) -> String {
    let nearest = known
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), *candidate))
        .min();
    match nearest {
        Some((distance, candidate)) if distance <= 1 + name.len() / 3 => {
            format!(", did you mean `{candidate}`?")
        }
        Some(_) => format!("; known: {}", known.join(", ")),
        None => String::new(),
    }
}
