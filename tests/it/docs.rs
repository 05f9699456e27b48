//! The pages of this repository: links lead somewhere, the index is whole, lines can be read, objects are valid.
//! Only files are read; what is on other servers is not looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use regex::Regex;
use serde_json::Value;

use crate::examples::schema;

/// The longest line of prose, in characters.
const LONGEST: usize = 120;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every page by its path in the repository, with `/` between folders.
fn pages() -> BTreeMap<String, String> {
    let (mut found, mut folders) = (BTreeMap::new(), vec![root().to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() {
                // What is built or fetched is not ours.
                if !name.starts_with('.') && !["target", "vendor", "node_modules"].contains(&name) {
                    folders.push(path);
                }
            } else if name.ends_with(".md") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.insert(path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned(), text);
            }
        }
    }
    assert!(found.len() > 50, "only {} pages were found", found.len());
    found
}

/// A line of a page, and whether it is written text: neither in a block of code nor one of its fences.
fn lines(page: &str) -> impl Iterator<Item = (usize, &str, bool)> {
    let mut fence: Option<&str> = None;
    page.lines().enumerate().map(move |(number, line)| {
        let start = line.trim_start();
        let mark = ["```", "~~~"].into_iter().find(|mark| start.starts_with(mark));
        let written = match (fence, mark) {
            (None, None) => true,
            (None, Some(mark)) => {
                fence = Some(mark);
                false
            }
            (Some(open), Some(mark)) if open == mark && start.trim_end().chars().all(|one| mark.contains(one)) => {
                fence = None;
                false
            }
            (Some(_), _) => false,
        };
        (number + 1, line, written)
    })
}

/// Blocks of code with the word behind their fence.
fn blocks(page: &str) -> Vec<(String, String)> {
    let (mut found, mut open): (Vec<(String, String)>, bool) = (Vec::new(), false);
    let mut indent = 0;
    for (_, line, written) in lines(page) {
        match (written, open) {
            (true, _) => open = false,
            (false, false) => {
                open = true;
                indent = line.len() - line.trim_start().len();
                found.push((line.trim().trim_matches(['`', '~']).to_owned(), String::new()));
            }
            (false, true) if line.trim_start().starts_with("```") || line.trim_start().starts_with("~~~") => {
                open = false
            }
            (false, true) => {
                let (_, text) = found.last_mut().unwrap();
                text.push_str(line.get(indent..).unwrap_or_default());
                text.push('\n');
            }
        }
    }
    found
}

/// Written text without what stands in back-ticks, which is no link.
fn prose(page: &str) -> String {
    let written: Vec<&str> = lines(page).filter(|(_, _, written)| *written).map(|(_, line, _)| line).collect();
    Regex::new("``[^`].*?``|`[^`\n]*`").unwrap().replace_all(&written.join("\n"), "").into_owned()
}

/// Where links and images of a page lead.
fn links(page: &str) -> Vec<String> {
    let patterns =
        [r#"\]\(\s*<?([^)\s>]+)>?(?:\s+"[^"]*")?\s*\)"#, r#"(?m)^\s*\[[^\]]+\]:\s+(\S+)"#, r#"(?:href|src)="([^"]+)""#];
    let text = prose(page);
    let all = patterns.iter().map(|pattern| Regex::new(pattern).unwrap());
    all.flat_map(|pattern| pattern.captures_iter(&text).map(|found| found[1].to_owned()).collect::<Vec<_>>()).collect()
}

/// The anchor that GitHub makes of a heading, before it counts equal ones.
fn slug(heading: &str) -> String {
    let text = Regex::new(r"!?\[([^\]]*)\]\([^)]*\)").unwrap().replace_all(heading, "$1").into_owned();
    let kept = text.trim().chars().filter(|one| one.is_alphanumeric() || matches!(one, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

/// How often each anchor is made by the headings of a page.
fn anchors(page: &str) -> BTreeMap<String, usize> {
    let heading = Regex::new(r"^#{1,6} +(.*?)(?: +#+)?\s*$").unwrap();
    let mut found = BTreeMap::new();
    for (_, line, _) in lines(page).filter(|(_, _, written)| *written) {
        if let Some(title) = heading.captures(line) {
            *found.entry(slug(&title[1])).or_insert(0) += 1;
        }
    }
    found
}

/// A link of a page, as path in the repository and anchor. `None` if it leads to another server.
fn target(page: &str, link: &str) -> Result<Option<(String, Option<String>)>, String> {
    if Regex::new("^[a-z][a-z0-9+.-]*:").unwrap().is_match(link) {
        return Ok(None);
    }
    let (file, anchor) = link.split_once('#').map_or((link, None), |(file, anchor)| (file, Some(anchor.to_owned())));
    if file.starts_with('/') {
        return Err(format!("{page}: {link} begins at the root of a machine"));
    }
    if file.is_empty() {
        return Ok(Some((page.to_owned(), anchor)));
    }
    let mut path = Path::new(page).parent().unwrap().to_owned();
    for part in Path::new(file).components() {
        match part {
            Component::Normal(name) => path.push(name),
            Component::ParentDir => {
                if !path.pop() {
                    return Err(format!("{page}: {link} leads out of the repository"));
                }
            }
            Component::CurDir => {}
            other => return Err(format!("{page}: {link}: {other:?}")),
        }
    }
    Ok(Some((path.to_str().unwrap().to_owned(), anchor)))
}

/// What is wrong with the links of these pages; `exists` says which other files there are.
fn broken(pages: &BTreeMap<String, String>, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let mut faults = Vec::new();
    for (page, text) in pages {
        for link in links(text) {
            let (file, anchor) = match target(page, &link) {
                Ok(None) => continue,
                Ok(Some(found)) => found,
                Err(fault) => {
                    faults.push(fault);
                    continue;
                }
            };
            let Some(other) = pages.get(&file) else {
                if !exists(&file) {
                    faults.push(format!("{page}: {link}: there is no {file}"));
                }
                continue;
            };
            let Some(anchor) = anchor else { continue };
            let anchors = anchors(other);
            match anchors.get(&anchor) {
                Some(1) => {}
                Some(_) => faults.push(format!("{page}: {link}: several headings of {file} make #{anchor}")),
                None => faults.push(format!("{page}: {link}: no heading of {file} makes #{anchor}")),
            }
        }
    }
    faults
}

/// Lines of prose that are too long: neither tables, nor headings, nor a single word or link.
fn long(page: &str) -> Vec<usize> {
    let single = Regex::new(r"^\s*(?:[-*] )?(?:!?\[[^\]]*\]\([^)]*\)|\S+)[.,;]?$").unwrap();
    let prose = lines(page).filter(|(_, line, written)| *written && !line.trim_start().starts_with(['|', '#']));
    prose
        .filter(|(_, line, _)| line.chars().count() > LONGEST && !single.is_match(line))
        .map(|(number, ..)| number)
        .collect()
}

/// Paths that exist on one machine only.
fn of_a_machine(page: &str) -> Vec<String> {
    let path = Regex::new(r"(?:^|[\s`'(=])((?:/home|/root|/Users|/work|/mnt)/[\w.-]+[^\s`')]*)").unwrap();
    path.captures_iter(page).map(|found| found[1].to_owned()).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let faults = broken(&pages(), |file| root().join(file).exists());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_page_of_the_book_is_in_its_index_once() {
    let pages = pages();
    let listed: Vec<String> = links(&pages["docs/README.md"])
        .iter()
        .filter_map(|link| target("docs/README.md", link).unwrap())
        .map(|(file, _)| file)
        .collect();
    let indexed: BTreeSet<&str> = listed.iter().map(String::as_str).collect();
    for page in pages.keys().filter(|page| page.starts_with("docs/") && *page != "docs/README.md") {
        if page.starts_with("docs/runbooks/") {
            // One per alert, and the table of alerts links each.
            let name = page.strip_prefix("docs/").unwrap();
            assert!(pages["docs/monitoring.md"].contains(&format!("({name})")), "{page} is not in docs/monitoring.md");
        } else {
            assert!(indexed.contains(page.as_str()), "{page} is not in docs/README.md");
        }
    }
    // The way through the book for a reader may name pages again; the lists of the four kinds may not.
    let kinds = pages["docs/README.md"].split("\n## ").filter(|part| !part.starts_with("Read in this order"));
    let item = Regex::new(r"(?m)^- \[[^\]]*\]\(([^)]*)\)").unwrap();
    let mut seen = BTreeSet::new();
    for part in kinds {
        for found in item.captures_iter(part) {
            assert!(seen.insert(found[1].to_owned()), "docs/README.md lists {} twice", &found[1]);
        }
    }
    assert!(seen.len() > 20, "only {} lines were found", seen.len());
}

#[test]
fn lines_can_be_read_and_no_path_is_of_one_machine() {
    let mut faults = Vec::new();
    for (page, text) in pages() {
        // Drafts that the program made stand as it made them.
        if !page.starts_with("tests/fixtures/") {
            faults.extend(long(&text).into_iter().map(|line| format!("{page}:{line}: more than {LONGEST} characters")));
        }
        faults.extend(of_a_machine(&text).into_iter().map(|path| format!("{page}: {path} is a path of one machine")));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// What is wrong with an object of this project. `None` if it is none, or a part of one only.
fn object(written: &Value) -> Option<Vec<String>> {
    let ours = written["apiVersion"].as_str().is_some_and(|version| version.starts_with("sluice.dev/"));
    (ours && written["spec"].is_object()).then(|| schema::complaints(written))
}

/// Objects of this project in the YAML of a page: blocks, and what a command is given between `<<EOF` and `EOF`.
fn objects(page: &str) -> Vec<String> {
    let heredoc = Regex::new(r"(?s)<<-?'?EOF'?\n(.*?)\n\s*EOF").unwrap();
    let mut texts = Vec::new();
    for (word, text) in blocks(page) {
        if word == "yaml" {
            texts.push(text);
        } else {
            texts.extend(heredoc.captures_iter(&text).map(|found| found[1].to_owned()));
        }
    }
    let documents = texts.iter().flat_map(|text| text.split("\n---\n"));
    documents.filter(|text| text.contains("apiVersion: sluice.dev/")).map(str::to_owned).collect()
}

#[test]
fn every_object_on_a_page_is_valid() {
    let (mut seen, mut faults) = (0, Vec::new());
    for (page, text) in pages() {
        for text in objects(&text) {
            match serde_saphyr::from_str::<Value>(&text).map(|written| object(&written)) {
                Ok(None) => {}
                Ok(Some(wrong)) if wrong.is_empty() => seen += 1,
                Ok(Some(wrong)) => faults.push(format!("{page}: {}\n{text}", wrong.join("; "))),
                Err(error) => faults.push(format!("{page}: {error}\n{text}")),
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(seen >= 7, "only {seen} objects were found");
}

/// Pages that are not there, for the cases below.
fn made(pages: &[(&str, &str)]) -> BTreeMap<String, String> {
    pages.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

#[test]
fn a_link_that_leads_nowhere_is_found() {
    let there = "# A `code` heading: [with](b.md) a link\n\n## Two\n\n## One, two – three?\n\n```\n## Two\n[no](link.md)\n```\n";
    let check = |text: &str| {
        broken(&made(&[("docs/a.md", text), ("docs/b.md", there)]), |file| {
            file == "src/main.rs" || file == "docs/x.svg"
        })
    };
    for good in [
        "[b](b.md), [code](../src/main.rs), ![x](x.svg \"title\"), [out](https://example.org/none#none)",
        "[b](b.md#a-code-heading-with-a-link) [c](b.md#one-two--three) [over\nlines](b.md#two)",
        "`[b](none.md)` and\n\n```\n[b](none.md)\n```\n",
        "# Here\n\n[up](#here), <a href=\"b.md\">b</a>\n\n[r]: b.md\n",
    ] {
        assert_eq!(check(good), Vec::<String>::new(), "{good}");
    }
    for bad in [
        "[b](none.md)",
        "![b](none.svg)",
        "[b](b.md#three)",
        "[b](#here)",
        "[b](/docs/b.md)",
        "[b](../../b.md)",
        "<img src=\"none.svg\">",
        "[r]: none.md",
        "[over\nlines](none.md)",
    ] {
        assert_eq!(check(bad).len(), 1, "{bad}");
    }
    let twice = made(&[("a.md", "[b](b.md#two)"), ("b.md", "## Two\n\n# Two\n")]);
    assert!(broken(&twice, |_| false)[0].contains("several headings"));
}

#[test]
fn long_lines_paths_and_wrong_objects_are_found() {
    let word = "word ".repeat(30);
    let text =
        format!("{word}\n\n| {word} |\n\n# {word}\n\n```\n{word}\n```\n\n- [{word}](b.md)\n\n{}\n", "–".repeat(130));
    assert_eq!(long(&text), [1]);
    assert_eq!(long(&"ä ".repeat(60)), [] as [usize; 0], "characters, not bytes");
    assert_eq!(of_a_machine("see `/home/me/file` and /var/run/secrets"), ["/home/me/file"]);
    let page = "```yaml\napiVersion: sluice.dev/v1alpha1\nkind: Intervention\nspec: {rollout: shop, action: Hold, reason: because}\n```\n";
    let check = |page: &str| object(&serde_saphyr::from_str(&objects(page)[0]).unwrap());
    let with_metadata = page.replace("spec:", "metadata: {name: hold}\nspec:");
    assert_eq!(check(&with_metadata), Some(Vec::new()));
    let inside = with_metadata.replace("```yaml", "```\nkubectl create -f - <<EOF").replace("\n```\n", "\nEOF\n```\n");
    assert_eq!(check(&inside), Some(Vec::new()));
    for (from, to) in [("Hold", "Wait"), ("reason", "why"), ("Intervention", "Rollout"), ("Intervention", "Wish")] {
        assert!(!check(&with_metadata.replace(from, to)).unwrap().is_empty(), "{from} as {to}");
    }
    assert_eq!(check(&page.replace("spec:", "data:")), None, "no object of ours is without a spec");
}

#[test]
fn files_of_links_are_paths_of_this_repository() {
    let file = |link| target("docs/runbooks/a.md", link).unwrap().unwrap().0;
    assert_eq!(
        (file("../b.md"), file("./c.md"), file("#d")),
        ("docs/b.md".into(), "docs/runbooks/c.md".into(), "docs/runbooks/a.md".into())
    );
    assert_eq!(PathBuf::from(file("../../README.md")), PathBuf::from("README.md"));
}
