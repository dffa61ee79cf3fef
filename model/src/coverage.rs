//! `cargo model coverage`: which pairs of parts meet in which scope, and which meet in none, and why.

use std::collections::BTreeSet;

use bailee_spec::scope::{Part, Scope};
use serde::Deserialize;
use serde_json::json;

use crate::protocol::scopes;

/// Why some pairs of parts meet in no scope.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Apart {
    /// One of the pair.
    parts: BTreeSet<Part>,
    /// The other; not given: any.
    with: Option<BTreeSet<Part>>,
    /// In words.
    reason: String,
    /// The two could matter to each other, and nobody has looked.
    #[serde(default)]
    gap: bool,
}

impl Apart {
    fn fits(&self, a: Part, b: Part) -> bool {
        let one = |a, b| self.parts.contains(&a) && self.with.as_ref().is_none_or(|with| with.contains(&b));
        one(a, b) || one(b, a)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reasons {
    apart: Vec<Apart>,
}

/// Two parts, and where they meet.
struct Pair {
    parts: [Part; 2],
    /// The names of the scopes that have both.
    scopes: Vec<String>,
    /// The place of the reason among the committed ones, for a pair that meets nowhere.
    reason: Option<usize>,
}

fn reasons() -> Result<Vec<Apart>, String> {
    toml::from_str::<Reasons>(bailee_spec::COVERAGE).map(|file| file.apart).map_err(|error| error.to_string())
}

fn pairs(scopes: &[Scope], reasons: &[Apart]) -> Vec<Pair> {
    let mut pairs = Vec::new();
    for (i, &a) in Part::ALL.iter().enumerate() {
        for &b in &Part::ALL[i + 1..] {
            let both = |scope: &&Scope| scope.parts.contains(&a) && scope.parts.contains(&b);
            let met: Vec<String> = scopes.iter().filter(both).map(|scope| scope.name.clone()).collect();
            let reason = if met.is_empty() { reasons.iter().position(|apart| apart.fits(a, b)) } else { None };
            pairs.push(Pair { parts: [a, b], scopes: met, reason });
        }
    }
    pairs
}

fn word(part: Part) -> String {
    serde_json::to_value(part).ok().and_then(|word| word.as_str().map(String::from)).unwrap_or_default()
}

/// The pairs of the committed scopes, a line each, and whether each has a scope or a reason.
///
/// # Errors
/// When the committed reasons do not parse.
pub fn lines(json: bool) -> Result<(Vec<String>, bool), String> {
    let reasons = reasons()?;
    let pairs = pairs(&scopes::committed(), &reasons);
    let mut lines: Vec<String> = pairs
        .iter()
        .map(|pair| {
            let why = pair.reason.map(|at| &reasons[at]);
            if json { as_json(pair, why) } else { as_text(pair, why) }
        })
        .collect();
    let meet = pairs.iter().filter(|pair| !pair.scopes.is_empty()).count();
    let gaps = pairs.iter().filter(|pair| pair.reason.is_some_and(|at| reasons[at].gap)).count();
    let silent = pairs.iter().filter(|pair| pair.scopes.is_empty() && pair.reason.is_none()).count();
    let (all, apart) = (pairs.len(), pairs.len() - meet - gaps - silent);
    lines.push(match json {
        true => json!({"message_type": "coverage", "pairs": all, "meet": meet, "apart": apart, "gaps": gaps,
            "without_reason": silent})
        .to_string(),
        false => format!(
            "{all} pairs: {meet} meet, {apart} are apart for a reason, {gaps} are gaps, {silent} lack a reason"
        ),
    });
    Ok((lines, silent == 0))
}

fn as_json(pair: &Pair, why: Option<&Apart>) -> String {
    let reason = why.map(|why| &why.reason);
    let gap = why.is_some_and(|why| why.gap);
    json!({"message_type": "pair", "parts": pair.parts, "scopes": pair.scopes, "reason": reason, "gap": gap})
        .to_string()
}

fn as_text(pair: &Pair, why: Option<&Apart>) -> String {
    let [a, b] = pair.parts.map(word);
    let (mark, said) = match why {
        None if pair.scopes.is_empty() => ("apart", "no reason is given".to_string()),
        None => ("meet", pair.scopes.join(", ")),
        Some(why) => (if why.gap { "gap" } else { "apart" }, why.reason.clone()),
    };
    format!("{mark:<6}{a:<18} {b:<18} {said}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_of_parts_meets_somewhere_or_has_a_reason() {
        let reasons = reasons().unwrap();
        let silent: Vec<_> = pairs(&scopes::committed(), &reasons)
            .into_iter()
            .filter(|pair| pair.scopes.is_empty() && pair.reason.is_none())
            .map(|pair| pair.parts)
            .collect();
        assert!(silent.is_empty(), "{silent:?}");
    }

    #[test]
    fn every_reason_is_needed() {
        let reasons = reasons().unwrap();
        let used: BTreeSet<usize> =
            pairs(&scopes::committed(), &reasons).iter().filter_map(|pair| pair.reason).collect();
        let unused: Vec<_> =
            (0..reasons.len()).filter(|at| !used.contains(at)).map(|at| &reasons[at].reason).collect();
        assert!(unused.is_empty(), "{unused:?}");
    }

    #[test]
    fn a_pair_that_no_longer_meets_is_seen() {
        let fewer: Vec<Scope> = scopes::committed().into_iter().filter(|scope| scope.name != "enrolment").collect();
        let lost = |scopes: &[Scope]| {
            let pairs = pairs(scopes, &[]);
            pairs.iter().filter(|pair| pair.scopes.is_empty()).count()
        };
        let none: Vec<Scope> = Vec::new();
        assert!(lost(&none) > lost(&fewer) && lost(&fewer) >= lost(&scopes::committed()));
    }
}
