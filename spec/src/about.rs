//! Reads a sentence that is the documentation of a name: "What it does (RULE-1)."

/// The sentence without its rule and its full stop.
pub(crate) fn without_rule(about: &'static str) -> &'static str {
    let text = about.trim_end_matches('.');
    match text.rsplit_once(" (") {
        Some((before, rule)) if rule.ends_with(')') => before,
        _ => text,
    }
}

/// The rule that ends the sentence; empty without one.
pub(crate) fn rule_in(about: &'static str) -> &'static str {
    let rule = about.trim_end_matches('.').rsplit_once(" (").and_then(|(_, rule)| rule.strip_suffix(')'));
    rule.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::Lane;
    use crate::observation::Message;

    #[test]
    fn a_sentence_is_told_from_its_rule() {
        assert_eq!((without_rule("It acts (ABC-1)."), rule_in("It acts (ABC-1).")), ("It acts", "ABC-1"));
        assert_eq!((without_rule("It (he) acts."), rule_in("It (he) acts.")), ("It (he) acts", ""));
    }

    /// Stories take the parties, the words and the rule of a message from here.
    #[test]
    fn every_message_names_its_parties_and_its_rule() {
        const PARTIES: [&str; 4] = ["device", "authority", "keystore", "admission point"];
        for &message in Message::ALL {
            let (from, to, says) = message.parts();
            let known = |who: &str| PARTIES.contains(&who) || who == "restorer" || who == "device or restorer";
            assert!(known(&from.to_lowercase()) && known(to), "{message:?}: {}", message.about());
            assert!(!says.is_empty() && !says.contains("the same"), "{message:?}: {says}");
            for lane in [Lane::Device(0), Lane::Job] {
                assert!(message.rule(lane).split('-').count() == 2, "{message:?} has no rule");
            }
        }
    }
}
