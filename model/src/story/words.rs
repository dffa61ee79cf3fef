//! Who takes part in a step, and what happens in it, in words.

use bailee_spec::action::{Action, Asking, Caller, Clock, Condition, Handing, Lane, Point, Purpose, Requester};
use bailee_spec::observation::Message;
use bailee_spec::{Outcome, Refusal};

use super::step::Step;

/// The one who acts and the one who is acted on; the same where a party acts alone. `nodes` is the number of keystore nodes.
pub fn parties(action: Action, message: Option<Message>, nodes: u8) -> (String, String) {
    let node = |n: u8| if nodes > 1 { format!("keystore node {n}") } else { "keystore".to_string() };
    let device = |d: u8| format!("device {d}");
    let (from, to): (String, String) = match action {
        Action::Deliver { lane } | Action::DeliverThenCrash { lane } => delivered(message, lane, &node(0)),
        Action::DropLate { .. } | Action::Duplicate { .. } | Action::Drop { .. } => {
            ("network".into(), "network".into())
        }
        Action::Advance | Action::Tick { .. } => ("clock".into(), "clock".into()),
        Action::CrashDevice { device: d } => (device(d), device(d)),
        Action::CrashRestorer | Action::FailJob => ("restorer".into(), "restorer".into()),
        Action::Restart { node: n } => (node(n), node(n)),
        Action::SignIn { device: d } => ("user".into(), device(d)),
        Action::OpenBackup { device: d } | Action::Contact { device: d } | Action::ReEscrow { device: d } => {
            (device(d), "authority".into())
        }
        Action::Append { device: d } | Action::Fetch { device: d } => (device(d), "storage".into()),
        Action::Deauthorize { by, .. } | Action::Request { by, .. } => (requester(by).into(), "authority".into()),
        Action::Publish { point } | Action::PublishTogether { point } => {
            ("authority".into(), point_name(point, &node(0)).into())
        }
        Action::Suspend { by, .. }
        | Action::Resume { by, .. }
        | Action::Deactivate { by, .. }
        | Action::Reactivate { by, .. }
        | Action::Abort { by } => (requester(by).into(), "authority".into()),
        Action::Purge { .. } => ("retention schedule".into(), "authority".into()),
        Action::WithdrawRight { tenant } | Action::GrantRight { tenant } => {
            (format!("tenant {tenant}"), "authority".into())
        }
        Action::DeliverAbort => ("authority".into(), "restorer".into()),
        Action::FinishJob => ("restorer".into(), "storage".into()),
        Action::OpenCeremony { node: n, by, .. } => match by {
            Caller::Operator => ("operator".into(), node(n)),
            Caller::Stranger => ("stranger".into(), node(n)),
        },
        Action::Announce { .. } => ("operator".into(), "custody".into()),
        Action::RequestShare { custodian, .. } | Action::AckShare { custodian, .. } => {
            (format!("custodian {custodian}"), "custody".into())
        }
        Action::SubmitShare { custodian, node: n, .. } => (format!("custodian {custodian}"), node(n)),
        Action::LoseCustodian { custodian } => (format!("custodian {custodian}"), "custody".into()),
        Action::OpenReplacement { node: n } => ("operator".into(), node(n)),
        Action::Seal { node: n } => ("operator".into(), node(n)),
        Action::AlertSink { .. } => ("alert sink".into(), "custody".into()),
        Action::UnsealTogether { node: n } => ("custodians".into(), node(n)),
        Action::RekeyTogether => ("custodians".into(), node(0)),
        Action::Snapshot | Action::StageRestore { .. } => ("operator".into(), node(0)),
        Action::Replay { .. } => ("authority".into(), node(0)),
        Action::ReadHost { node: n } => ("adversary".into(), node(n)),
        Action::CorruptCustodian { custodian } => ("adversary".into(), format!("custodian {custodian}")),
        Action::StealSnapshot => ("adversary".into(), node(0)),
    };
    (from, to)
}

fn delivered(message: Option<Message>, lane: Lane, keystore: &str) -> (String, String) {
    let client = match lane {
        Lane::Device(d) => format!("device {d}"),
        Lane::Late(d) => format!("device {d} (late)"),
        Lane::Job => "restorer".to_string(),
        Lane::Point(point) => point_name(point, keystore).to_string(),
        Lane::LatePoint(point) => format!("{} (late)", point_name(point, keystore)),
    };
    let Some(message) = message else { return ("network".into(), client) };
    let (from, to, _) = message.parts();
    let party = |who: &str| match who.to_lowercase().as_str() {
        "keystore" => keystore.to_string(),
        "authority" => "authority".to_string(),
        _ => client.clone(),
    };
    (party(from), party(to))
}

fn point_name(point: Point, keystore: &str) -> &str {
    match point {
        Point::Keystore => keystore,
        Point::Storage => "storage",
        Point::Restorer => "restorer",
    }
}

fn requester(by: Requester) -> &'static str {
    match by {
        Requester::Owner | Requester::OwnerWithoutStepUp => "owner",
        Requester::Neighbour => "other user",
        Requester::Admin => "administrator",
        Requester::ForeignAdmin => "other tenant's admin",
        Requester::Schedule => "schedule",
        Requester::Namesake => "namesake elsewhere",
    }
}

/// What happens, how it ends where it is refused, and the rule that says so.
pub(super) fn label(step: &Step) -> String {
    let happens = happens(step.action, step.message);
    match step.outcome {
        Outcome::Accepted => happens,
        refused => format!("{happens}: {}", ends(refused)),
    }
}

/// What happens in a step, with the name of the message and the rule.
pub fn happens(action: Action, message: Option<Message>) -> String {
    let name = message.map_or(String::new(), |message| format!("{message:?}, "));
    format!("{} [{name}{}]", what(action, message), rule(action, message))
}

/// How a step ends, in words.
pub fn ends(outcome: Outcome) -> String {
    match outcome {
        Outcome::Accepted => "accepted".into(),
        Outcome::Refused(refusal) => format!("refused, {}", refused(refusal)),
    }
}

/// The reason of a refusal, with its name.
fn refused(refusal: Refusal) -> String {
    let reason = refusal.about().split(". ").next().unwrap_or_default();
    format!("{} [{refusal:?}]", clause(reason))
}

/// The rule of `spec/alphabet.md` that says what an action does: for a delivery, that of its message.
pub fn rule(action: Action, message: Option<Message>) -> String {
    match (action, message) {
        (Action::Deliver { lane }, Some(message)) => message.rule(lane).to_string(),
        (Action::DeliverThenCrash { lane }, Some(message)) => format!("{}, {}", message.rule(lane), action.rule()),
        _ => action.rule().to_string(),
    }
}

fn what(action: Action, message: Option<Message>) -> String {
    match (action, message) {
        (Action::Deliver { .. }, Some(message)) => message.parts().2.to_string(),
        (Action::DeliverThenCrash { .. }, Some(message)) => {
            format!("{}; then the receiver dies, and nothing leaves it", message.parts().2)
        }
        (action, _) => words(action),
    }
}

/// An action in words, without the one who acts.
fn words(action: Action) -> String {
    match action {
        Action::SignIn { .. } => "signs in with the right credentials".into(),
        Action::OpenBackup { .. } => "asks for leave to append to its archive".into(),
        Action::Append { .. } => "appends a backup set to its archive".into(),
        Action::Fetch { .. } => "reads a backup set from its archive".into(),
        Action::Contact { .. } => "reports, and obeys what it is told".into(),
        Action::ReEscrow { .. } => "escrows its key again, because the keystore lost it".into(),
        Action::Publish { .. } => "sends the newest revocations and a new lease".into(),
        Action::PublishTogether { .. } => "publishes the newest revocations, and hears that they are stored".into(),
        Action::Tick { clock: Clock::Authority } => "the authority's clock goes on by a tick".into(),
        Action::Tick { clock: Clock::Points } => "the admission points' clock goes on by a tick".into(),
        Action::Abort { .. } => "ends the job".into(),
        Action::Announce { .. } => "announces the node's ceremony".into(),
        Action::Seal { .. } => "seals the node".into(),
        Action::UnsealTogether { .. } => "unseal it in a whole ceremony, without incident".into(),
        Action::RekeyTogether => "rekey it in a whole ceremony, without incident".into(),
        Action::Snapshot => "has a snapshot written, which the authority witnesses".into(),
        Action::Deauthorize { device, .. } => format!("deauthorizes device {device}"),
        Action::Suspend { user, .. } => format!("suspends user {user}"),
        Action::Resume { user, .. } => format!("lifts the suspension of user {user}"),
        Action::Deactivate { user, .. } => format!("deactivates user {user}"),
        Action::Reactivate { user, .. } => format!("reactivates user {user}"),
        Action::Purge { user } => format!("purges user {user}: the retention time is over"),
        Action::Replay { user } => format!("hands over the escrow message that it kept of user {user}"),
        Action::Request { by, user } => match by {
            Requester::Owner => "asks for a restore".into(),
            Requester::OwnerWithoutStepUp => "asks for a restore, without a fresh step-up".into(),
            Requester::Neighbour | Requester::Namesake => format!("asks for a restore of user {user}'s archive"),
            Requester::Admin | Requester::ForeignAdmin => format!("asks for a restore on behalf of user {user}"),
            Requester::Schedule => format!("starts maintenance of user {user}'s archive: nobody is signed in"),
        },
        Action::OpenCeremony { purpose: Purpose::Unseal, .. } => "opens a ceremony to unseal".into(),
        Action::OpenCeremony { purpose: Purpose::Rekey, .. } => "opens a ceremony to rekey".into(),
        Action::RequestShare { asking, .. } => match asking {
            Asking::Honestly => "asks for the own share, with a fresh code".into(),
            Asking::WithoutCode => "asks for the own share, without a second factor".into(),
            Asking::WithUsedCode => "asks for the own share, with a used code".into(),
            Asking::ForAnother => "asks for the share of the next custodian".into(),
        },
        Action::SubmitShare { handing, .. } => match handing {
            Handing::Right => "hands over the share that custody released".into(),
            Handing::Wrong => "hands over a wrong share".into(),
            Handing::Retired => "hands over a share of the former share epoch".into(),
            Handing::AsAnother => "hands over a share as that of the next custodian".into(),
        },
        Action::AckShare { condition: Condition::Intact, .. } => "checks and acknowledges the new share".into(),
        Action::AckShare { condition: Condition::Damaged, .. } => {
            "gets a new share that was altered on the way".into()
        }
        Action::AlertSink { up: true } => "comes back".into(),
        Action::AlertSink { up: false } => "fails".into(),
        Action::StageRestore { condition: Condition::Intact } => "stages the snapshot on the sealed node".into(),
        Action::StageRestore { condition: Condition::Damaged } => {
            "stages a damaged snapshot on the sealed node".into()
        }
        Action::ReadHost { .. } => "copies the memory and the disk of the host".into(),
        Action::CorruptCustodian { .. } => "takes the present share and the keys".into(),
        Action::StealSnapshot => "takes a copy of the snapshot".into(),
        other => clause(other.says()),
    }
}

/// A sentence as part of another one.
fn clause(sentence: &str) -> String {
    let sentence = sentence.trim_end_matches('.');
    let mut letters = sentence.chars();
    match (letters.next(), letters.next()) {
        (Some(first), Some(second)) if !second.is_uppercase() => {
            first.to_lowercase().chain(sentence.chars().skip(1)).collect()
        }
        _ => sentence.to_string(),
    }
}
