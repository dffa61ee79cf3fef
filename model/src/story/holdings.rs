//! What an adversary holds at the end of a story.

use bailee_spec::observation::{DeviceState, DeviceView, LaneView, Message};
use bailee_spec::{Action, Outcome};

use super::step::Step;

/// What is in the adversary's hands, thing by thing, and the users whose archive keys it opens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    /// The things that were taken.
    pub things: Vec<String>,
    /// The users, in order.
    pub opens: Vec<usize>,
    /// The archive keys that nobody needs to take: those at the vendor, and those of deauthorized devices.
    pub within_reach: Vec<String>,
}

/// After the last step.
pub fn holdings(steps: &[Step]) -> Holdings {
    let mut things: Vec<String> = Vec::new();
    for step in steps.iter().filter(|step| step.outcome == Outcome::Accepted) {
        let thing = match step.action {
            Action::ReadHost { node } => format!("memory and disk of keystore node {node}, with the root"),
            Action::CorruptCustodian { custodian } => format!("the share and the keys of custodian {custodian}"),
            Action::StealSnapshot => "a copy of the snapshot".to_string(),
            _ => continue,
        };
        if !things.contains(&thing) {
            things.push(thing);
        }
    }
    let Some(last) = steps.last() else { return Holdings::default() };
    let opens = (0..last.after.users.len()).filter(|&user| last.after.users[user].opened).collect();
    let mut within_reach = Vec::new();
    if let (Some(_), Some(user)) = (last.after.job.held, last.after.job.subject) {
        within_reach.push(format!("the archive key of user {user}, if it sits at the vendor's restorer"));
    }
    for (number, device) in last.after.devices.iter().enumerate() {
        if let Some(place) = key_of_a_deauthorized(device) {
            within_reach.push(format!("the archive key {place}, if it has device {number}, which is deauthorized"));
        }
    }
    Holdings { things, opens, within_reach }
}

/// Where a deauthorized device has a key, or is about to get one.
fn key_of_a_deauthorized(device: &DeviceView) -> Option<&'static str> {
    if !matches!(device.at_authority, DeviceState::Revoking | DeviceState::Revoked) {
        return None;
    }
    let brings_key =
        |lane: &LaneView| lane.key.is_some() && matches!(lane.message, Message::SealedKey | Message::KeyDelivery);
    match (device.disk_key, device.memory_key, &device.lane) {
        (Some(_), _, _) => Some("on the disk"),
        (None, Some(_), _) => Some("in memory"),
        (None, None, Some(lane)) if brings_key(lane) => Some("on its way"),
        _ => None,
    }
}

impl Holdings {
    /// As the end of a story.
    pub(super) fn text(&self) -> String {
        if self.things.is_empty() && self.within_reach.is_empty() {
            return "In the end the adversary holds nothing: no step gives it anything.\n".into();
        }
        let mut out = String::from("In the end the adversary holds\n");
        for thing in self.things.iter().chain(&self.within_reach) {
            out += &format!("  - {thing}\n");
        }
        let users: Vec<String> = self.opens.iter().map(|user| format!("user {user}")).collect();
        match users.as_slice() {
            [] if self.things.is_empty() => {}
            [] => out += "and opens no archive key with what it took.\n",
            users => out += &format!("and opens the archive key of {}.\n", users.join(" and of ")),
        }
        out
    }
}
