//! Text as source and documentation trees hold it: made by a seeded grammar, and as repetitive as the real thing.
//!
//! Real source repeats itself at every distance: a word in the line above, a line a screen away, a licence in every
//! file, a whole file in the release before. So a project has a vocabulary, and its lines are partly new, partly
//! earlier lines of the file or of the project with a word exchanged. The shares were set so that zstd finds as much
//! as in a tree of real sources.

use crate::dice::Dice;

/// Which kind of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Code,
    Markup,
    Prose,
}

/// A line: the numbers of its words.
type Line = Vec<u32>;

/// In a template, a word of the project's vocabulary stands here.
const HOLE: &str = "\0";

/// The templates of new lines, by kind; what is no hole is literal.
const CODE: &[&[&str]] = &[
    &["let ", HOLE, " = ", HOLE, ".", HOLE, "(", HOLE, ");\n"],
    &["let ", HOLE, " = ", HOLE, "(", HOLE, ", ", HOLE, ");\n"],
    &["if (", HOLE, " == ", HOLE, ") {\n"],
    &["if (!", HOLE, "->", HOLE, ")\n"],
    &["return ", HOLE, ";\n"],
    &["return ", HOLE, "(", HOLE, ");\n"],
    &["pub fn ", HOLE, "(", HOLE, ": ", HOLE, ") -> ", HOLE, " {\n"],
    &["static int ", HOLE, "(struct ", HOLE, " *", HOLE, ")\n{\n"],
    &["for (int i = 0; i < ", HOLE, "; i++) {\n"],
    &["#define ", HOLE, "_", HOLE, " 0x"],
    &["#include <", HOLE, "/", HOLE, ".h>\n"],
    &["/* ", HOLE, " ", HOLE, " the ", HOLE, " of ", HOLE, ". */\n"],
    &["/// Returns the ", HOLE, " of this ", HOLE, ", if the ", HOLE, " is ", HOLE, ".\n"],
    &["self.", HOLE, ".", HOLE, "(&", HOLE, ")?;\n"],
    &["assert_eq!(", HOLE, "::", HOLE, "(", HOLE, "), ", HOLE, ");\n"],
    &["}\n"],
    &["\n"],
];
const MARKUP: &[&[&str]] = &[
    &["<li><a class=\"", HOLE, "\" href=\"../", HOLE, "/struct.", HOLE, ".html\">", HOLE, "</a></li>\n"],
    &["<p>", HOLE, " ", HOLE, " <code>", HOLE, "</code> ", HOLE, " ", HOLE, ".</p>\n"],
    &["<section id=\"method.", HOLE, "\" class=\"method\"><h4 class=\"code-header\">", HOLE, "</h4></section>\n"],
    &["<div class=\"", HOLE, "\"><span>", HOLE, "</span></div>\n"],
    &["<td>", HOLE, "</td><td>", HOLE, "</td>\n"],
];
const PROSE: &[&[&str]] = &[
    &["The ", HOLE, " ", HOLE, " of the ", HOLE, " is ", HOLE, " by the ", HOLE, " ", HOLE, ".\n"],
    &[HOLE, " ", HOLE, " and ", HOLE, " ", HOLE, " to ", HOLE, " ", HOLE, ", ", HOLE, " ", HOLE, "\n"],
    &["- ", HOLE, ": ", HOLE, " ", HOLE, " ", HOLE, " for ", HOLE, " (", HOLE, ")\n"],
    &["When ", HOLE, " is not ", HOLE, ", it ", HOLE, " the ", HOLE, " in ", HOLE, ".\n"],
    &["\n"],
];
const INDENTS: &[&str] = &["", "    ", "        ", "            ", "\t", "\t\t"];
const SYLLABLES: &[&str] = &[
    "con", "tex", "re", "ad", "buf", "fer", "in", "it", "al", "lo", "ca", "te", "par", "se", "str", "ing", "val",
    "ue", "ma", "nod", "list", "get", "set", "ver", "sion", "key", "map", "ex", "er", "ror", "file", "path", "name",
    "state", "ma", "po", "lin", "ter", "un", "ion", "ment", "ble", "dis", "pro", "cess", "sig", "nal", "time", "out",
    "put",
];

/// In a thousand lines: from the file itself, from elsewhere in the project; the rest is new.
const FROM_FILE: usize = 600;
const FROM_PROJECT: usize = 150;
/// In a thousand words of a repeated line: exchanged.
const EXCHANGED: usize = 300;
/// Words of a language that every project of the corpus shares, and words that a project adds.
const COMMON_WORDS: usize = 6000;
const OWN_WORDS: usize = 700;
/// Lines that a project remembers of its earlier files.
const REMEMBERED: usize = 6000;
/// Licences in use.
const LICENCES: usize = 12;

/// What all projects of a corpus share: common words, and the licences that stand in so many files.
pub(crate) struct Language {
    words: Vec<String>,
    licences: Vec<String>,
}

impl Language {
    pub(crate) fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed, 0);
        let words: Vec<String> = (0..COMMON_WORDS).map(|_| word(&mut dice)).collect();
        let licences = (0..LICENCES)
            .map(|_| {
                let lines = dice.between(3, 18);
                let line = |dice: &mut Dice| {
                    let words: Vec<&str> = (0..10).map(|_| words[dice.skewed(COMMON_WORDS)].as_str()).collect();
                    format!("// {}\n", words.join(" "))
                };
                (0..lines).map(|_| line(&mut dice)).collect()
            })
            .collect();
        Language { words, licences }
    }
}

fn word(dice: &mut Dice) -> String {
    (0..dice.between(1, 4)).map(|_| *dice.pick(SYLLABLES)).collect()
}

/// One project: its files share vocabulary, licence and lines.
pub(crate) struct Project<'a> {
    language: &'a Language,
    dice: Dice,
    /// What a number in a line means.
    lexicon: Vec<String>,
    /// The lexicon's first number that is of the vocabulary: literals of templates lie before it.
    vocabulary: usize,
    templates: [Vec<Line>; 3],
    remembered: Vec<Line>,
    licence: usize,
}

impl<'a> Project<'a> {
    /// Project `number` of the corpus with this seed.
    pub(crate) fn new(language: &'a Language, seed: u64, number: u64) -> Self {
        let mut dice = Dice::new(seed, number + 1);
        let mut lexicon: Vec<String> = INDENTS.iter().map(|indent| (*indent).to_string()).collect();
        let mut translate = |templates: &[&[&str]]| -> Vec<Line> {
            let mut number_of = |part: &str| {
                let known = lexicon.iter().position(|known| known == part);
                known.unwrap_or_else(|| {
                    lexicon.push(part.to_string());
                    lexicon.len() - 1
                }) as u32
            };
            templates.iter().map(|template| template.iter().map(|part| number_of(part)).collect()).collect()
        };
        let templates = [translate(CODE), translate(MARKUP), translate(PROSE)];
        let vocabulary = lexicon.len();
        lexicon.extend((0..OWN_WORDS).map(|_| {
            let compound = dice.below(3);
            (0..compound).fold(word(&mut dice), |name, _| name + "_" + &language.words[dice.skewed(COMMON_WORDS)])
        }));
        lexicon.extend((0..OWN_WORDS).map(|_| language.words[dice.skewed(COMMON_WORDS)].clone()));
        let licence = dice.below(LICENCES);
        Project { language, dice, lexicon, vocabulary, templates, remembered: Vec::new(), licence }
    }

    /// A file of about this size, and the ending that its kind of text goes by.
    pub(crate) fn file(&mut self, size: usize) -> (Vec<u8>, &'static str) {
        let (kind, ending) = match self.dice.below(100) {
            0..65 => (Kind::Code, *self.dice.pick(&["rs", "c", "h", "py", "js"])),
            65..82 => (Kind::Markup, "html"),
            _ => (Kind::Prose, *self.dice.pick(&["md", "txt"])),
        };
        let mut text = Vec::with_capacity(size + 256);
        if kind == Kind::Code && size > 2000 && self.dice.per_mille(600) {
            text.extend_from_slice(self.language.licences[self.licence].as_bytes());
        }
        let mut lines: Vec<Line> = Vec::new();
        while text.len() < size {
            for line in self.lines(kind, &lines) {
                line.iter().for_each(|&word| text.extend_from_slice(self.lexicon[word as usize].as_bytes()));
                lines.push(line);
            }
        }
        text.truncate(size);
        self.remember(lines);
        (text, ending)
    }

    /// The next lines: repeated ones come in runs.
    fn lines(&mut self, kind: Kind, file: &[Line]) -> Vec<Line> {
        let chance = self.dice.below(1000);
        let repeat_file = chance < FROM_FILE && !file.is_empty();
        let from = if repeat_file { file } else { self.remembered.as_slice() };
        if chance >= FROM_FILE + FROM_PROJECT || from.is_empty() {
            return vec![self.new_line(kind)];
        }
        // Of the file, what was written last is repeated most; the project's lines are in no order.
        let reach = if repeat_file { 1 + self.dice.skewed(from.len()) } else { from.len() };
        let back = 1 + if repeat_file { self.dice.skewed(reach) } else { self.dice.below(reach) };
        let start = from.len() - back;
        let run = (1 + self.dice.skewed(12)).min(from.len() - start);
        let mut lines = from[start..start + run].to_vec();
        for word in lines.iter_mut().flatten().filter(|word| **word as usize >= self.vocabulary) {
            if self.dice.per_mille(EXCHANGED) {
                *word = self.vocabulary as u32 + self.dice.skewed(2 * OWN_WORDS) as u32;
            }
        }
        lines
    }

    fn new_line(&mut self, kind: Kind) -> Line {
        let template = self.dice.pick(&self.templates[kind as usize]);
        let indent = if kind == Kind::Prose { 0 } else { self.dice.skewed(INDENTS.len()) as u32 };
        let mut line = vec![indent];
        for &part in template {
            let hole = self.lexicon[part as usize] == HOLE;
            line.push(if hole { self.vocabulary as u32 + self.dice.skewed(2 * OWN_WORDS) as u32 } else { part });
        }
        line
    }

    fn remember(&mut self, lines: Vec<Line>) {
        for line in lines {
            if self.remembered.len() < REMEMBERED {
                self.remembered.push(line);
            } else {
                let place = self.dice.below(REMEMBERED);
                self.remembered[place] = line;
            }
        }
    }
}
