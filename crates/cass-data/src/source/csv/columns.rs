//! Which column of a table says what.

use super::cells::{Said, class, is_nothing, mark};
use super::names::{GROUP, LABEL, LABELS, NO_CLASS, PATH, SPLIT};
use super::*;
use crate::source::table::bare;
use crate::source::{Blank, Column, Uncertain};

/// Separators of names in a field, the surest first.
const SURE: [char; 2] = ['|', ';'];
const COMMA: [char; 1] = [','];

/// Which column says what.
pub(super) struct Columns {
    pub(super) path: usize,
    pub(super) labels: Labels,
    split: Option<usize>,
    group: Option<usize>,
    uncertain: Option<Uncertain>,
    blank: Option<Blank>,
    /// The user said that there are no labels.
    unlabelled: bool,
}

pub(super) enum Labels {
    /// No column does.
    No,
    /// One name.
    One(usize),
    /// Any number of names, with one of these between them.
    Several(usize, &'static [char]),
    /// A 0/1 column a class.
    Hot(Vec<usize>),
}

impl Labels {
    pub(super) fn are_several(&self) -> bool {
        matches!(self, Self::Several(..))
    }

    /// The names of the 0/1 columns.
    pub(super) fn marked(&self, table: &Table) -> Option<Vec<String>> {
        match self {
            Self::Hot(places) => Some(named(table, places)),
            _ => None,
        }
    }

    fn places(&self) -> Vec<usize> {
        match self {
            Self::No => Vec::new(),
            Self::One(place) | Self::Several(place, _) => vec![*place],
            Self::Hot(places) => places.clone(),
        }
    }
}

fn named(table: &Table, places: &[usize]) -> Vec<String> {
    places.iter().map(|&p| table.columns[p].clone()).collect()
}

impl Columns {
    pub(super) fn of(table: &Table, choices: &Choices) -> Result<Self> {
        let chosen = |column: Column| {
            let name = choices.columns.get(&column);
            name.map(|name| there(table, column.name(), name))
                .transpose()
        };
        let or = |chosen: Option<usize>, known: &[&str]| chosen.or_else(|| table.column(known));
        let path = match or(chosen(Column::Path)?, &PATH) {
            Some(path) => path,
            None => {
                let found = table.columns.join(",");
                let detail = format!(
                    "line 1: {found:?}, expected a column path, file, image, image_id or the like \
                     (--columns path=NAME says which it is)"
                );
                return Err(self::table(&table.path, detail));
            }
        };
        let not_path = |place: &usize| *place != path;
        let split = or(chosen(Column::Split)?, &SPLIT).filter(not_path);
        let group = or(chosen(Column::Group)?, &GROUP).filter(not_path);
        let others = [Some(path), split, group];
        let labels = labels(
            table,
            [chosen(Column::Label)?, chosen(Column::Labels)?],
            &choices.labels,
            &others,
        )?;
        let columns = Self {
            path,
            labels,
            split,
            group,
            uncertain: choices.uncertain,
            blank: choices.blank,
            unlabelled: choices.labels == ["none"],
        };
        columns.expect_said_of_uncertain(table)?;
        Ok(columns)
    }

    /// Which columns are used for what, and which are not.
    pub(super) fn sentence(&self, table: &Table) -> String {
        let column = |place: usize| &table.columns[place];
        let mut used = vec![format!("path = {}", column(self.path))];
        match &self.labels {
            Labels::No => {}
            Labels::One(place) => used.push(format!("label = {}", column(*place))),
            Labels::Several(place, _) => used.push(format!("labels = {}", column(*place))),
            Labels::Hot(places) => {
                used.push(format!("classes = {}", named(table, places).join(", ")));
            }
        }
        for (what, place) in [("split", self.split), ("group", self.group)] {
            used.extend(place.map(|place| format!("{what} = {}", column(place))));
        }
        let mut in_use = self.labels.places();
        in_use.extend(
            [Some(self.path), self.split, self.group]
                .into_iter()
                .flatten(),
        );
        let ignored = (0..table.columns.len()).filter(|place| !in_use.contains(place));
        let ignored: Vec<_> = ignored.map(column).cloned().collect();
        let mut ignored = match &ignored[..] {
            [] => String::new(),
            ignored => format!("; ignored: {}", ignored.join(", ")),
        };
        if matches!(self.labels, Labels::No) && !self.unlabelled && !ignored.is_empty() {
            ignored += " (none is known to name classes: --columns label=NAME says which does)";
        }
        format!("{}: {}{ignored}", name(&table.path), used.join("; "))
    }

    /// What else was decided.
    pub(super) fn notes(&self, table: &Table) -> Vec<String> {
        let file = name(&table.path);
        let count = |places: &[usize], is: &dyn Fn(&str) -> bool| {
            let fields = table.rows.iter();
            let fields = fields.flat_map(|row| places.iter().map(|&place| &row.fields[place]));
            fields.filter(|field| is(field)).count()
        };
        let mut notes = Vec::new();
        match &self.labels {
            Labels::Several(place, between) => {
                let column = &table.columns[*place];
                if table
                    .rows
                    .iter()
                    .any(|row| row.fields[*place].contains(*between))
                {
                    let between: Vec<_> = between.iter().map(char::to_string).collect();
                    let between = between.join(" or ");
                    notes.push(format!(
                        "{file}, column {column}: {between} is between labels"
                    ));
                }
                let empty = count(&[*place], &str::is_empty);
                if empty > 0 {
                    notes.push(format!(
                        "{file}, column {column}: {empty} empty fields are of images of no class"
                    ));
                }
            }
            Labels::Hot(places) => {
                let unsure = count(places, &|field| mark(field) == Some(-1.0));
                if let (1.., Some(taken)) = (unsure, self.uncertain) {
                    let taken = match taken {
                        Uncertain::Zero => "taken as 0",
                        Uncertain::One => "taken as 1",
                        Uncertain::Ignore => "left out of loss and metrics",
                    };
                    notes.push(format!("{file}: {unsure} labels are -1, {taken}"));
                }
                let empty = count(places, &is_nothing);
                if empty > 0 {
                    let taken = match self.blank {
                        Some(Blank::Zero) => "taken as 0",
                        _ => "left out of loss and metrics (--blank zero takes them as 0)",
                    };
                    notes.push(format!("{file}: {empty} labels are empty, {taken}"));
                }
            }
            Labels::No | Labels::One(_) => {}
        }
        notes
    }

    pub(super) fn part(&self, table: &Table, row: &Row) -> Result<Option<Part>, Problem> {
        let Some(column) = self.split.filter(|&place| !is_nothing(&row.fields[place])) else {
            return Ok(None);
        };
        match part(&row.fields[column]) {
            Some(part) => Ok(Some(part)),
            None => Err(table.bad_cell(row, column, "train, val or test")),
        }
    }

    pub(super) fn group(&self, row: &Row) -> Option<String> {
        let group = self.group.map(|place| &row.fields[place]);
        group.filter(|group| !is_nothing(group)).cloned()
    }

    /// What a row says of its image's classes.
    pub(super) fn said(&self, table: &Table, row: &Row) -> Result<Said, Problem> {
        let names = |of: Vec<String>| Said::Names {
            of,
            unknown: Vec::new(),
        };
        match &self.labels {
            Labels::No => Ok(Said::Nothing),
            &Labels::One(column) => Ok(match row.fields[column].as_str() {
                field if is_nothing(field) => Said::Nothing,
                field => names(vec![class(field)]),
            }),
            Labels::Several(column, between) => {
                let field = row.fields[*column].as_str();
                if is_nothing(field) && !field.is_empty() {
                    return Ok(Said::Nothing);
                }
                let of = field.split(*between).map(str::trim);
                Ok(names(of.filter(|n| !n.is_empty()).map(class).collect()))
            }
            Labels::Hot(columns) => self.marks(table, row, columns),
        }
    }

    fn marks(&self, table: &Table, row: &Row, columns: &[usize]) -> Result<Said, Problem> {
        if columns
            .iter()
            .all(|&column| is_nothing(&row.fields[column]))
        {
            return Ok(Said::Nothing);
        }
        let (mut of, mut unknown) = (Vec::new(), Vec::new());
        for &column in columns {
            let field = row.fields[column].as_str();
            let into = match (mark(field), self.uncertain, self.blank) {
                (Some(0.0), ..) => continue,
                (Some(1.0), ..) => &mut of,
                (Some(-1.0), Some(Uncertain::Zero), _) => continue,
                (Some(-1.0), Some(Uncertain::One), _) => &mut of,
                (Some(-1.0), Some(Uncertain::Ignore), _) => &mut unknown,
                (_, _, blank) if is_nothing(field) => match blank {
                    Some(Blank::Zero) => continue,
                    _ => &mut unknown,
                },
                _ => return Err(table.bad_cell(row, column, "0 or 1")),
            };
            into.push(table.columns[column].clone());
        }
        Ok(Said::Names { of, unknown })
    }

    /// -1 has to be given a meaning before anything is learned from it.
    fn expect_said_of_uncertain(&self, table: &Table) -> Result<()> {
        let (Labels::Hot(places), None) = (&self.labels, self.uncertain) else {
            return Ok(());
        };
        let unsure = |row: &&Row| places.iter().any(|&p| mark(&row.fields[p]) == Some(-1.0));
        let mut rows = table.rows.iter().filter(unsure);
        let Some(first) = rows.next() else {
            return Ok(());
        };
        let (line, more) = (first.line, rows.count());
        let detail = format!(
            "line {line} and {more} more have labels of -1, expected --uncertain zero, one or \
             ignore, which says what these are"
        );
        Err(self::table(&table.path, detail))
    }
}

/// The place of the column that a user named.
fn there(table: &Table, what: &str, column: &str) -> Result<usize> {
    table.column(&[column]).ok_or_else(|| {
        let found = table.columns.join(", ");
        let detail = format!("line 1: no column {column:?} to be {what}, expected one of {found}");
        self::table(&table.path, detail)
    })
}

fn labels(
    table: &Table,
    [one, several]: [Option<usize>; 2],
    marked: &[String],
    others: &[Option<usize>],
) -> Result<Labels> {
    let both = |one: usize, several: usize| {
        let [one, several] = [one, several].map(|place| &table.columns[place]);
        let detail = format!(
            "line 1: columns {one} and {several}, expected one of them (--columns label={one} or \
             labels={several} says which)"
        );
        self::table(&table.path, detail)
    };
    match (marked, one, several) {
        ([no], ..) if no == "none" => return Ok(Labels::No),
        ([only], ..) => return Ok(of_names(table, there(table, "a label", only)?)),
        ([_, ..], ..) => {
            let places = marked.iter().map(|name| there(table, "a class", name));
            return Ok(Labels::Hot(places.collect::<Result<_>>()?));
        }
        ([], Some(one), Some(several)) => return Err(both(one, several)),
        ([], Some(one), None) => return Ok(Labels::One(one)),
        ([], None, Some(several)) => return Ok(Labels::Several(several, between(table, several))),
        ([], None, None) => {}
    }
    let free = |place: &usize| !others.contains(&Some(*place));
    match (
        table.column(&LABEL).filter(free),
        table.column(&LABELS).filter(free),
    ) {
        (Some(one), Some(several)) => return Err(both(one, several)),
        (Some(one), None) => return Ok(of_names(table, one)),
        (None, Some(several)) => return Ok(Labels::Several(several, between(table, several))),
        (None, None) => {}
    }
    let known: Vec<_> = [&PATH[..], &SPLIT, &GROUP].concat();
    let is_known = |place: &usize| {
        known
            .iter()
            .any(|k| bare(k) == bare(&table.columns[*place]))
    };
    let places: Vec<usize> = (0..table.columns.len())
        .filter(|place| free(place) && !is_known(place))
        .collect();
    all_marks(table, places)
}

/// A column of one name an image, or of several where it has the sign that is between them.
fn of_names(table: &Table, place: usize) -> Labels {
    if table.rows.iter().any(|row| row.fields[place].contains('|')) {
        return Labels::Several(place, &SURE);
    }
    Labels::One(place)
}

fn between(table: &Table, place: usize) -> &'static [char] {
    if table
        .rows
        .iter()
        .any(|row| row.fields[place].contains(SURE))
    {
        &SURE
    } else {
        &COMMA
    }
}

/// All these columns as classes, if they can be; nothing where none of them can.
fn all_marks(table: &Table, places: Vec<usize>) -> Result<Labels> {
    let is_mark =
        |field: &str| is_nothing(field) || [-1.0, 0.0, 1.0].map(Some).contains(&mark(field));
    // A slip in a column of marks is a row's problem; a column of other values is no class.
    let other = |place: usize| {
        let bad = table.rows.iter().filter(|row| !is_mark(&row.fields[place]));
        2 * bad.clone().count() > table.rows.len()
    };
    let no_class = |place: usize| {
        NO_CLASS
            .iter()
            .any(|n| bare(n) == bare(&table.columns[place]))
    };
    let (odd, marks): (Vec<usize>, Vec<usize>) = places
        .iter()
        .partition(|&&place| other(place) || no_class(place));
    if marks.is_empty() || table.rows.is_empty() {
        return Ok(if odd.is_empty() && !marks.is_empty() {
            Labels::Hot(marks)
        } else {
            Labels::No
        });
    }
    let Some(&first) = odd.first() else {
        return Ok(Labels::Hot(marks));
    };
    let row = table.rows.iter().find(|row| !is_mark(&row.fields[first]));
    let row = row.unwrap_or(&table.rows[0]);
    let (line, value) = (row.line, &row.fields[first]);
    let detail = format!(
        "columns {} were taken for classes, but {} on line {line} is {value:?}, expected 0 or 1 of a \
         class; --labels {} names the classes, --columns label=NAME the one column of names, \
         --labels none reads no labels",
        named(table, &places).join(", "),
        table.columns[first],
        named(table, &marks).join(","),
    );
    Err(self::table(&table.path, detail))
}
