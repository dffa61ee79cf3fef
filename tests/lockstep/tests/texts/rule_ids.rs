//! Rule ids in a text, and the rules that a text defines.

const FAMILIES: [&str; 15] =
    ["GEN", "OBS", "TIME", "NET", "ENR", "REP", "BAK", "REV", "SUS", "DEA", "JOB", "CER", "KEY", "DIS", "ADV"];

/// The rule ids in a text: a family, a hyphen, a number, and perhaps a letter.
pub(crate) fn rule_ids(text: &str) -> Vec<(usize, String)> {
    let mut out = Vec::new();
    for family in FAMILIES {
        for (at, _) in text.match_indices(&format!("{family}-")) {
            let before = text[..at].chars().next_back();
            let rest = &text[at + family.len() + 1..];
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let letter = usize::from(rest[digits..].starts_with(|c: char| c.is_ascii_lowercase()));
            let after = rest[digits + letter..].chars().next();
            let joined = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
            if digits > 0 && !joined(before) && before != Some('-') && !joined(after) {
                out.push((at, text[at..at + family.len() + 1 + digits + letter].to_string()));
            }
        }
    }
    out.sort();
    out
}

/// The rules that a text defines, with the text of each up to the next definition or the end of its section.
pub(crate) fn definitions(text: &str) -> Vec<(String, String)> {
    let bold: Vec<(usize, String)> = rule_ids(text)
        .into_iter()
        .filter(|(at, id)| text[..*at].ends_with("**") && text[at + id.len()..].starts_with("**"))
        .collect();
    let ends = bold.iter().skip(1).map(|(at, _)| *at).chain([text.len()]);
    bold.iter()
        .zip(ends)
        .map(|((at, id), end)| {
            let body = &text[*at..end];
            (id.clone(), body.split("\n#").next().unwrap_or(body).to_string())
        })
        .collect()
}
