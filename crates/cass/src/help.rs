//! `cass --help`: the commands by what they are for.

use crate::Cli;
use clap::CommandFactory;
use std::collections::HashSet;

/// The commands of each task, in the order in which they are needed. A name that is no command of this
/// build is left out.
const TASKS: [(&str, &[&str]); 6] = [
    ("From a folder of images to an answer", &["study", "data"]),
    ("Train and measure", &["pretrain", "probe", "compare"]),
    (
        "Use on new images",
        &["predict", "evaluate", "features", "export"],
    ),
    ("Look inside", &["embed", "cka", "attend", "metrics"]),
    ("Reproduce the paper", &["reproduce", "verify", "bench"]),
    (
        "Networks and this command",
        &["models", "completions", "help"],
    ),
];

/// What the command line may be, its help by tasks.
pub fn command() -> clap::Command {
    let command = Cli::command();
    let tasks = by_task(&command);
    command.help_template(format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{tasks}Options:\n{{options}}{{after-help}}"
    ))
}

/// Every command with the first sentence on it, under the heading of its task.
fn by_task(command: &clap::Command) -> String {
    let about = |name: &str| match name {
        "help" => Some("Print this, or the help of a command".to_owned()),
        _ => {
            let about = command.find_subcommand(name)?.get_about();
            Some(about.map(ToString::to_string).unwrap_or_default())
        }
    };
    let mut named: HashSet<&str> = HashSet::new();
    let mut text = String::new();
    let mut section = |task: &str, names: &mut dyn Iterator<Item = &str>| {
        let lines = names.filter_map(|name| Some(format!("  {name:<12} {}\n", about(name)?)));
        let lines: String = lines.collect();
        if !lines.is_empty() {
            text += &format!("{task}:\n{lines}\n");
        }
    };
    for (task, names) in TASKS {
        named.extend(names);
        section(task, &mut names.iter().copied());
    }
    let rest = command.get_subcommands().map(clap::Command::get_name);
    section("Others", &mut rest.filter(|name| !named.contains(name)));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use cass_testing::commands_on_pages;
    use clap::FromArgMatches;
    use clap::error::ErrorKind;

    #[test]
    fn every_line_that_the_pages_show_is_read() {
        let unread = commands_on_pages("cass").into_iter().filter_map(|line| {
            let read = command().try_get_matches_from(&line.words);
            let read = read.and_then(|matches| Cli::from_arg_matches(&matches));
            let error = read.err().filter(|e| e.kind() != ErrorKind::DisplayHelp)?;
            Some(format!("{}: {error}", line.place))
        });
        let unread: Vec<String> = unread.collect();
        assert!(unread.is_empty(), "{}", unread.join("\n"));
    }

    #[test]
    fn every_command_stands_under_the_task_that_it_is_for() {
        let command = Cli::command();
        let text = by_task(&command);
        assert!(!text.contains("Others:"), "{text}");
        for subcommand in command.get_subcommands() {
            let name = subcommand.get_name();
            let lines = text
                .lines()
                .filter(|line| line.trim_start().starts_with(&format!("{name} ")));
            assert_eq!(lines.count(), 1, "{name}: {text}");
        }
    }
}
