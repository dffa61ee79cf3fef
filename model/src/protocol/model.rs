//! The protocol as a [`stateright::Model`]: one scope, one (possibly mutated) set of rules.

use bailee_spec::action::{Action, Lane, Point, Requester};
use bailee_spec::observation::Message;
use bailee_spec::outcome::Outcome;
use bailee_spec::scope::{Part, Scope, Start};

use super::SmallWorld;
use super::actions::actions_of;
use super::canon::{
    Exchange, epochs_in_order, is_in_least_order, keys_in_order, rename_epochs, rename_keys, representative,
};
use super::layout::{Difference, Layout, same};
use super::mutation::Mutation;
use super::publication::FRESH_END;
use super::step::{Rules, may_have_changed};
use super::world::{Slot, World};
use crate::explorer::{Key, Successor};

/// A scope that can be explored.
#[derive(Clone, Debug)]
pub struct Protocol {
    /// The scope.
    pub scope: Scope,
    /// The rules.
    pub rules: Rules,
    /// Every action of the scope, in order.
    pub actions: Vec<Action>,
    /// Those of them that are not refused in every world.
    movers: Vec<Action>,
    layout: Layout,
    exchanges: Vec<Exchange>,
    start: SmallWorld,
}

impl Protocol {
    /// The scope's model.
    ///
    /// # Errors
    /// When the scope is larger than a packed world, or contradicts itself: what and where.
    pub fn new(scope: &Scope, mutation: Option<Mutation>) -> Result<Self, String> {
        validate(scope)?;
        let rules = rules_of(scope, mutation);
        let start = start_of(scope, &rules);
        let layout = Layout::new(scope, start);
        if layout.bits() > 128 {
            return Err(format!("scope {}: {} bits a state; at most 128 fit", scope.name, layout.bits()));
        }
        let actions = actions_of(scope);
        Ok(Protocol {
            scope: scope.clone(),
            rules,
            movers: actions.iter().copied().filter(|action| !rules.always_refuses(*action)).collect(),
            actions,
            exchanges: Exchange::all(scope),
            layout,
            start,
        })
    }

    /// How many actions are tried in each state by one who looks for transitions.
    pub fn tried_in_each(&self) -> usize {
        self.movers.len()
    }

    /// The world that the scope starts in.
    pub fn start(&self) -> SmallWorld {
        self.start
    }

    /// Bits a state.
    pub fn bits(&self) -> u32 {
        self.layout.bits()
    }

    /// One action on one world, without sorting: what a concrete run does.
    pub fn step(&self, world: &SmallWorld, action: Action) -> (Outcome, SmallWorld) {
        self.rules.step(world, action)
    }

    /// The world after the action, unless the answer says that nothing changed, which is the answer to most of what is tried.
    fn tried(&self, last: &SmallWorld, action: Action) -> Option<SmallWorld> {
        if nothing_to_deliver(last, action) {
            return None;
        }
        let mut next = *last;
        let outcome = self.rules.apply(&mut next, action);
        may_have_changed(action, outcome).then_some(next)
    }

    /// The representative of the world: sorted in a sorted scope, keys renamed in every scope.
    pub fn canonical(&self, world: &SmallWorld) -> SmallWorld {
        if self.scope.sorted {
            let mut ranked = *world;
            self.rename_epochs(&mut ranked);
            return representative(&self.layout, &self.exchanges, self.scope.custodians, &ranked);
        }
        let mut renamed = *world;
        rename_keys(&mut renamed);
        self.rename_epochs(&mut renamed);
        renamed
    }

    fn rename_epochs(&self, world: &mut SmallWorld) {
        if self.rules.publication && !epochs_in_order(&self.rules.points, world) {
            rename_epochs(&self.rules.points, world);
        }
    }

    /// Whether a world that differs so from a representative is one itself, for certain.
    fn stays_canonical(&self, world: &SmallWorld, difference: Difference) -> bool {
        let custodians = &world.custodians[..self.scope.custodians as usize];
        (!difference.keys || keys_in_order(world))
            && (!self.rules.publication || epochs_in_order(&self.rules.points, world))
            && (!self.scope.sorted
                || (!difference.custodians || custodians.is_sorted()) && is_in_least_order(&self.exchanges, world))
    }

    /// The packed form of a world.
    pub fn pack(&self, world: &SmallWorld) -> u128 {
        self.layout.pack(world)
    }

    /// The world of a packed form.
    pub fn unpack(&self, bits: u128) -> SmallWorld {
        self.layout.unpack(bits)
    }

    /// The same scope without sorting.
    pub fn plain(&self) -> Protocol {
        let mut plain = self.clone();
        plain.scope.sorted = false;
        plain
    }
}

/// Of every state's actions most are deliveries from empty lanes: told at a glance.
fn nothing_to_deliver(world: &SmallWorld, action: Action) -> bool {
    match action {
        Action::Deliver { lane } | Action::DeliverThenCrash { lane } => world.lane(lane).message.is_none(),
        _ => false,
    }
}

fn validate(scope: &Scope) -> Result<(), String> {
    let fail = |what: &str| Err(format!("scope {}: {what}", scope.name));
    let has = |part| scope.parts.contains(&part);
    let devices = scope.users as usize * scope.devices_per_user as usize;
    if scope.users == 0 || devices == 0 || scope.users > 2 || devices > 2 {
        return fail("expected 1 or 2 users and 1 or 2 devices in all");
    }
    if scope.tenants != 1 && scope.tenants != scope.users {
        return fail("expected 1 tenant, or as many as users");
    }
    if scope.nodes == 0 || scope.nodes > 2 {
        return fail("expected 1 or 2 nodes");
    }
    if scope.custodians > 5 || scope.threshold < 2 || scope.threshold > scope.custodians {
        return fail("expected 2 to 5 custodians and a threshold of 2 or more, at most the number of custodians");
    }
    if (has(Part::Rekey) || has(Part::RekeyTogether)) && has(Part::Adversary) {
        return fail("rekey is modelled without the adversary");
    }
    if has(Part::AlertOutage) && (has(Part::UnsealTogether) || has(Part::RekeyTogether)) {
        return fail("a whole ceremony in one action is one without incident: alert-outage needs the single steps");
    }
    let others = [Part::Rekey, Part::RekeyTogether, Part::UnsealTogether, Part::Adversary];
    if has(Part::CustodianLoss) && (scope.nodes > 1 || !has(Part::Ceremony) || others.into_iter().any(has)) {
        return fail(
            "custodian-loss is modelled with ceremony and one node, and without rekey, whole ceremonies and the adversary",
        );
    }
    if has(Part::Purge) && !has(Part::Deactivation) {
        return fail("purge needs deactivation");
    }
    if let Some(what) = publication_contradicts(scope) {
        return fail(what);
    }
    let distinct: std::collections::BTreeSet<_> = scope.parts.iter().collect();
    if distinct.len() != scope.parts.len() {
        return fail("a part is named twice");
    }
    Ok(())
}

/// What a scope with publication as messages, or with clocks, may not have (TIME-2).
fn publication_contradicts(scope: &Scope) -> Option<&'static str> {
    let has = |part| scope.parts.contains(&part);
    let any = |parts: &[Part]| parts.iter().any(|part| has(*part));
    let jobs = [Part::OwnRestore, Part::OnBehalf, Part::Maintenance];
    match () {
        () if scope.points.is_empty() || !scope.points.is_sorted_by(|a, b| a < b) => {
            Some("expected some of the points, each once, in the order keystore, storage, restorer")
        }
        () if !has(Part::Publication) && scope.points.len() < Point::ALL.len() => {
            Some("fewer points only with publication")
        }
        () if has(Part::Publication) && !has(Part::Revocation) => Some("publication needs revocation"),
        () if has(Part::Publication) && has(Part::Time) => Some("with publication, time is the part clocks"),
        () if has(Part::Publication) && any(&[Part::Suspension, Part::Deactivation, Part::Purge]) => {
            Some("publication is modelled without suspension and deactivation: its messages carry no standing")
        }
        () if has(Part::Clocks) && !has(Part::Publication) => Some("clocks needs publication"),
        () if has(Part::Clocks) && (any(&jobs) || any(&[Part::Ceremony, Part::Rekey, Part::Disaster])) => {
            Some("clocks are modelled without jobs, ceremonies and disaster")
        }
        () if has(Part::Clocks) && has(Part::SignIn) && scope.start != Start::Enrolled => {
            Some("clocks are modelled without the enrolment of a first device")
        }
        () => None,
    }
}

/// The rules of a scope.
pub fn rules_of(scope: &Scope, mutation: Option<Mutation>) -> Rules {
    Rules {
        users: scope.users,
        tenants: scope.tenants,
        devices_per_user: scope.devices_per_user,
        nodes: scope.nodes,
        custodians: scope.custodians,
        threshold: scope.threshold,
        late: scope.parts.contains(&Part::Late),
        enrols: scope.parts.contains(&Part::SignIn) && scope.start != Start::Enrolled,
        publication: scope.parts.contains(&Part::Publication),
        points: Point::ALL.map(|point| scope.points.contains(&point)),
        mutation,
    }
}

/// The first backup of a user's first device, as the protocol itself does it.
pub fn enrolling_actions(scope: &Scope) -> Vec<Action> {
    if scope.start != Start::Enrolled {
        return Vec::new();
    }
    let mut actions = Vec::new();
    for user in 0..scope.users {
        let device = user * scope.devices_per_user;
        actions.push(Action::SignIn { device });
        actions.extend([Action::Deliver { lane: Lane::Device(device) }; 14]);
        actions.push(Action::OpenBackup { device });
        actions.push(Action::Append { device });
        actions.push(Action::CrashDevice { device });
    }
    actions
}

/// The world that a scope starts in: reached by the protocol's own steps.
pub fn start_of<const U: usize, const N: usize>(scope: &Scope, rules: &Rules) -> World<U, N> {
    let right = Rules { mutation: None, ..*rules };
    let mut world = World::fresh();
    let unserved = world.points;
    if rules.publication {
        // Every point serves while the scope's start is made.
        for at in &mut world.points {
            (at.lease, at.named) = (FRESH_END, FRESH_END);
        }
    }
    for action in enrolling_actions(scope) {
        world = right.step(&world, action).1;
    }
    if scope.start == Start::Sealed {
        for node in 0..scope.nodes {
            world.nodes[node as usize].sealed = true;
        }
    }
    rename_keys(&mut world);
    if rules.publication {
        for point in Point::ALL.iter().filter(|point| !scope.points.contains(point)) {
            world.points[*point as usize] = unserved[*point as usize];
        }
    }
    rename_epochs(&rules.points, &mut world);
    world
}

impl stateright::Model for Protocol {
    type State = SmallWorld;
    type Action = Action;

    fn init_states(&self) -> Vec<Self::State> {
        vec![self.canonical(&self.start)]
    }

    fn actions(&self, _: &Self::State, actions: &mut Vec<Self::Action>) {
        actions.extend_from_slice(&self.movers);
    }

    fn next_state(&self, last: &Self::State, action: Self::Action) -> Option<Self::State> {
        self.tried(last, action).filter(|next| !same(next, last)).map(|next| self.canonical(&next))
    }
}

impl crate::explorer::Packed for Protocol {
    fn key_bits(&self) -> u32 {
        self.layout.bits()
    }

    fn pack_state(&self, state: &SmallWorld) -> Key {
        self.layout.pack(state)
    }

    fn unpack_state(&self, key: Key) -> SmallWorld {
        self.layout.unpack(key)
    }

    fn successors(&self, state: &SmallWorld, key: Key, _: &mut Vec<Action>, found: &mut Vec<Successor>) {
        let mut next = *state;
        for &action in &self.movers {
            if nothing_to_deliver(state, action) {
                continue;
            }
            let outcome = self.rules.apply(&mut next, action);
            if !may_have_changed(action, outcome) {
                continue;
            }
            let mut difference = self.layout.difference(&next, state);
            if difference.bits == 0 {
                continue;
            }
            if !self.stays_canonical(&next, difference) {
                difference = self.layout.difference(&self.canonical(&next), state);
            }
            found.push(Successor { class: class_of(state, &action), key: key ^ difference.bits });
            next = *state;
        }
    }

    fn class(&self, state: &SmallWorld, action: &Action) -> u8 {
        class_of(state, action)
    }
}

/// Classes of deliveries begin here: live device lanes, late lanes, the job lane, and deliveries with a crash; then those of the
/// lanes of admission points.
const DELIVERIES: usize = 64;
/// Classes for the messages of one kind of lane.
const A_LANE: usize = 29;
/// Classes of deliveries in the lanes of admission points begin here.
const PUBLICATIONS: usize = DELIVERIES + 6 * A_LANE;

/// The class of an action: which message is delivered in which kind of lane, or which variant it is.
pub fn class_of(world: &SmallWorld, action: &Action) -> u8 {
    let lane_class = |lane: &Lane, crash: usize| {
        let kind = match lane {
            Lane::Device(_) => 0,
            Lane::Late(_) => 1,
            Lane::Job => 2,
            Lane::Point(_) | Lane::LatePoint(_) => {
                let late = usize::from(matches!(lane, Lane::LatePoint(_)));
                let confirms = usize::from(world.lane(*lane).message == Slot::of(Message::Confirm));
                return (PUBLICATIONS + (crash * 2 + late) * 2 + confirms) as u8;
            }
        };
        let message = world.lane(*lane).message.number() as usize;
        (DELIVERIES + (crash * 3 + kind) * A_LANE + message) as u8
    };
    match action {
        Action::Deliver { lane } => lane_class(lane, 0),
        Action::DeliverThenCrash { lane } => lane_class(lane, 1),
        other => variant(other),
    }
}

/// The number of an action's variant, below [`DELIVERIES`].
fn variant(action: &Action) -> u8 {
    use Action as A;
    match action {
        A::Deliver { .. } | A::DeliverThenCrash { .. } => 0,
        A::DropLate { .. } => 1,
        A::CrashDevice { .. } => 2,
        A::CrashRestorer => 3,
        A::Restart { .. } => 4,
        A::Advance => 5,
        A::SignIn { .. } => 6,
        A::OpenBackup { .. } => 7,
        A::Append { .. } => 8,
        A::Fetch { .. } => 9,
        A::Contact { .. } => 10,
        A::ReEscrow { .. } => 11,
        A::Deauthorize { .. } => 12,
        A::PublishTogether { point } => 13 + *point as u8,
        A::Suspend { .. } => 16,
        A::Resume { .. } => 17,
        A::Deactivate { .. } => 18,
        A::Reactivate { .. } => 19,
        A::Purge { .. } => 20,
        A::WithdrawRight { .. } => 21,
        A::GrantRight { .. } => 22,
        A::Request { by, .. } => 23 + *by as u8,
        A::Abort { .. } => 56,
        A::LoseCustodian { .. } => 57,
        A::OpenReplacement { .. } => 58,
        A::DeliverAbort => 30,
        A::FinishJob => 31,
        A::FailJob => 32,
        A::OpenCeremony { purpose, .. } => 33 + *purpose as u8,
        A::Announce { .. } => 35,
        A::RequestShare { .. } => 36,
        A::SubmitShare { .. } => 37,
        A::AckShare { .. } => 38,
        A::Seal { .. } => 39,
        A::AlertSink { .. } => 40,
        A::UnsealTogether { .. } => 41,
        A::RekeyTogether => 42,
        A::Snapshot => 43,
        A::StageRestore { .. } => 44,
        A::Replay { .. } => 45,
        A::ReadHost { .. } => 46,
        A::CorruptCustodian { .. } => 47,
        A::StealSnapshot => 48,
        A::Publish { point } => 49 + *point as u8,
        A::Tick { clock } => 52 + *clock as u8,
        A::Duplicate { .. } => 54,
        A::Drop { .. } => 55,
    }
}

/// Whether an action of this form can change a state at all; the others only show refusals or read.
pub fn can_move(action: &Action) -> bool {
    match action {
        Action::Fetch { .. } | Action::Deliver { .. } | Action::DeliverThenCrash { .. } => false,
        Action::Request { by, .. } => {
            matches!(by, Requester::Owner | Requester::Admin | Requester::Schedule)
        }
        _ => true,
    }
}

/// The classes that the roles take of their own accord, so that a run which never does is unfair: deliveries, and the
/// restorer's own steps. Crashes, requests, aborts and the clock are nobody's duty.
pub fn fair_classes() -> [bool; 256] {
    let mut fair = [false; 256];
    fair[DELIVERIES..DELIVERIES + 3 * A_LANE].fill(true);
    fair[PUBLICATIONS..PUBLICATIONS + 4].fill(true);
    for action in [Action::FinishJob, Action::FailJob, Action::DeliverAbort] {
        fair[variant(&action) as usize] = true;
    }
    fair
}
