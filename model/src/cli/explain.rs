//! `cargo model explain`: what a claim or a property rests on.

use std::path::{Path, PathBuf};

use bailee_model::command::{Failure, NOTHING, counted, line, quoted};
use bailee_model::protocol::mutation;
use bailee_model::protocol::properties::{self, Kind, Property};
use bailee_model::protocol::{Mutation, properties::ALL};
use bailee_model::scope_file::load;
use bailee_model::story::{Story, look};
use bailee_spec::{Claim, Scope, claim};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::evidence::places;

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Promise, numbered table, what the adversary holds, and how to replay it.
    Text,
    /// A Mermaid sequence diagram.
    Mermaid,
    /// An SVG sequence diagram.
    Svg,
    /// JSON lines: stories that `cargo lockstep replay` takes, and verdicts.
    Json,
}

#[derive(Args)]
pub(super) struct ExplainArguments {
    /// A claim (C13) or a property (one-key), in upper or lower case.
    id: String,
    /// With this change of the rules switched on (`cargo model list mutations`).
    #[arg(long, alias = "mutation", value_name = "MUTATION")]
    with: Option<String>,
    /// In this scope.
    #[arg(long)]
    scope: Option<String>,
    /// Scopes of your own (spec/scopes.md).
    #[arg(long)]
    scope_file: Option<PathBuf>,
    /// How.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// One part of the answer.
enum Section {
    /// A run that decides a property.
    Story(Box<Story>),
    /// A verdict that no single run decides, in words and as data.
    Words(String, Value),
}

/// Explains a claim or a property.
pub(super) fn run_explain(arguments: &ExplainArguments) -> Result<u8, Failure> {
    let with = arguments.with.as_deref().map(known_mutation).transpose()?;
    let look = Look {
        scopes: load(arguments.scope_file.as_deref())?,
        name: arguments.scope.as_deref(),
        with,
        file: arguments.scope_file.as_deref(),
    };
    look.check_name()?;
    let claims = claim::parse(bailee_spec::CLAIMS)?;
    let claim = claims.iter().find(|claim| claim.id.eq_ignore_ascii_case(&arguments.id));
    let property = ALL.iter().find(|property| property.id.eq_ignore_ascii_case(&arguments.id));
    let (head, sections) = match (claim, property) {
        (Some(claim), _) => (claim_head(claim), of_claim(claim, &look)?),
        (None, Some(property)) => (String::new(), vec![look.section(property, None)?]),
        (None, None) => return Err(unknown(&arguments.id)),
    };
    show(&head, &sections, arguments.format)
}

fn unknown(id: &str) -> Failure {
    Failure::Usage(format!(
        "there is no claim and no property {id}; `cargo model list claims` and `cargo model list properties` name them"
    ))
}

fn known_mutation(id: &str) -> Result<Mutation, Failure> {
    let unknown = || Failure::Usage(format!("there is no mutation {id}; `cargo model list mutations` names them"));
    mutation::find(&id.to_ascii_lowercase()).ok_or_else(unknown)
}

fn claim_head(claim: &Claim) -> String {
    let verdict = match claim.classic.as_str() {
        "H" => "it holds",
        "H*" => "it holds within a stated limit",
        "X" => "a counterexample, because classic cannot keep it",
        _ => "it has no meaning there",
    };
    format!("{}: {}\n(expected in classic: {verdict}; evidence: {})\n", claim.id, claim.text, claim.evidence)
}

/// What a claim rests on, in the order of the claims file.
fn of_claim(claim: &Claim, look: &Look<'_>) -> Result<Vec<Section>, Failure> {
    if claim.planned {
        let text = "It is planned: a later part of the project shows it. Nothing checks it yet.".to_string();
        return Ok(vec![Section::Words(text, json!({"message_type": "planned", "claim": claim.id}))]);
    }
    let named = |id: &String| {
        properties::find(id).ok_or_else(|| Failure::Run(format!("{}: there is no property {id}", claim.id)))
    };
    let mut wanted: Vec<&'static Property> = claim.properties.iter().map(named).collect::<Result<_, _>>()?;
    if let Some(with) = look.with
        && wanted.iter().any(|property| with.properties().contains(&property.id))
    {
        wanted.retain(|property| with.properties().contains(&property.id));
    }
    let mut sections = Vec::new();
    for property in wanted {
        sections.push(look.section(property, Some(claim))?);
    }
    sections.extend(claim.tests.iter().map(|test| of_test(claim, test)));
    if claim.evidence == "argument" {
        let text = "It rests on an argument and on no check: see spec/threat-model.md.".to_string();
        sections.push(Section::Words(text, json!({"message_type": "argument", "claim": claim.id})));
    }
    Ok(sections)
}

fn of_test(claim: &Claim, test: &str) -> Section {
    let places = places(test);
    let mut text = format!("It rests on the test {test}");
    for place in &places {
        text += &format!("\n  in {}; run it: {}", place.at, place.run);
    }
    if places.is_empty() {
        text += &format!("\n  run it in the sources: cargo test --release --workspace {test}");
    }
    let found: Vec<_> = places.iter().map(|place| json!({"at": place.at, "run": place.run})).collect();
    Section::Words(text, json!({"message_type": "test", "claim": claim.id, "test": test, "places": found}))
}

/// Where to look, and with which change of the rules.
struct Look<'a> {
    scopes: Vec<Scope>,
    name: Option<&'a str>,
    with: Option<Mutation>,
    file: Option<&'a Path>,
}

impl Look<'_> {
    fn check_name(&self) -> Result<(), Failure> {
        let Some(name) = self.name else { return Ok(()) };
        let names: Vec<&str> = self.scopes.iter().map(|scope| scope.name.as_str()).collect();
        let known = names.contains(&name);
        let unknown = format!("there is no scope {name}; there are: {}", names.join(", "));
        if known { Ok(()) } else { Err(Failure::Usage(unknown)) }
    }

    /// The scopes in which a property is looked at: the named one, that of the mutation, or all focused ones that check it.
    fn scopes_for(&self, property: &Property) -> Vec<&Scope> {
        let checks = |scope: &Scope| scope.properties.iter().any(|id| id == property.id);
        let home = self.with.filter(|_| self.file.is_none()).map(Mutation::scope);
        match self.name.or(home) {
            Some(name) => self.scopes.iter().filter(|scope| scope.name == name).collect(),
            None => self.scopes.iter().filter(|scope| scope.focused && checks(scope)).collect(),
        }
    }

    fn section(&self, property: &'static Property, claim: Option<&Claim>) -> Result<Section, Failure> {
        let mut seen = Vec::new();
        let mut holds = true;
        for scope in self.scopes_for(property) {
            let found = look(scope, property, self.with)?;
            if let Some(mut story) = found.story {
                if let Some(claim) = claim {
                    story.promises.retain(|promise| promise.id == claim.id);
                }
                story.file_option = self.file.map_or(String::new(), |path| format!(" --scope-file {}", quoted(path)));
                return Ok(Section::Story(Box::new(story)));
            }
            holds &= found.holds;
            seen.push((scope.name.clone(), found.states));
        }
        if seen.is_empty() {
            return Err(Failure::Usage(format!("no scope here checks {}; name one with --scope", property.id)));
        }
        Ok(self.verdict(property, holds, &seen))
    }

    /// The words for a property that no run decides.
    fn verdict(&self, property: &Property, holds: bool, seen: &[(String, u64)]) -> Section {
        let scopes: Vec<String> =
            seen.iter().map(|(name, states)| format!("{name} ({})", counted(*states, "state"))).collect();
        let with = self.with.map_or(String::new(), |with| format!(" with {} switched on", with.id()));
        let mut text = format!("{}: {}\n", property.id, property.about);
        text += &match (property.kind, holds) {
            (Kind::Sometimes(_), _) => format!("  No state shows it{with}, in {}.", scopes.join(", ")),
            (_, true) => format!("  It holds{with} in every state of {}.", scopes.join(", ")),
            (_, false) => format!("  It is broken{with} in {}, and no single run tells it.", scopes.join(", ")),
        };
        if self.with.is_none() {
            for breaks in Mutation::ALL.iter().filter(|mutation| mutation.properties().contains(&property.id)) {
                let (id, about) = (breaks.id(), breaks.about());
                text += &format!("\n  What breaks it: {about}\n    cargo model explain {} --with {id}", property.id);
            }
        }
        let verdict = if holds { "holds" } else { "broken" };
        let names: Vec<&String> = seen.iter().map(|(name, _)| name).collect();
        let data = json!({"message_type": "verdict", "property": property.id, "about": property.about,
            "verdict": verdict, "mutation": self.with.map(Mutation::id), "scopes": names,
            "states": seen.iter().map(|(_, states)| states).sum::<u64>()});
        Section::Words(text, data)
    }
}

fn show(head: &str, sections: &[Section], format: Format) -> Result<u8, Failure> {
    let stories: Vec<&Story> = sections
        .iter()
        .filter_map(|section| match section {
            Section::Story(story) => Some(&**story),
            Section::Words(..) => None,
        })
        .collect();
    match format {
        Format::Text => {
            if !head.is_empty() {
                line(head);
            }
            let texts: Vec<String> = sections.iter().map(|section| text_of(section, head.is_empty())).collect();
            line(texts.join("\n").trim_end());
        }
        Format::Json => sections.iter().for_each(|section| match section {
            Section::Story(story) => line(story.json()),
            Section::Words(_, data) => line(data),
        }),
        Format::Mermaid | Format::Svg => {
            let [story, others @ ..] = stories.as_slice() else {
                eprintln!("there is no story to draw; --format text says why");
                return Ok(NOTHING);
            };
            for other in others {
                eprintln!("not drawn: the story of {}; name that property", other.property.id);
            }
            line(if format == Format::Svg { story.svg() } else { story.mermaid() });
        }
    }
    Ok(0)
}

/// A section in words; the head of a claim is the title of its stories.
fn text_of(section: &Section, titled: bool) -> String {
    match section {
        Section::Story(story) if titled => story.text(),
        Section::Story(story) => story.table(),
        Section::Words(text, _) => format!("{text}\n"),
    }
}
