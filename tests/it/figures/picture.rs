//! The picture of the dashboard `sluice-delivery` in docs/evidence.md, drawn from the history next door.
//!
//! It shows what the dashboard's own queries would: sums over Rollouts, so a deployment of two of them counts twice. The
//! one difference is that below ten deployments it has counts and no rates, as docs/figures.md asks.

use std::fmt::Write as _;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use sluice::figures::{Figures, History, Rate, Scope};

use super::{judged, now, records};

const PICTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/images/delivery.svg");
/// The window of the tiles and the table.
const DAYS: u32 = 28;
/// How far back the bars go; each is a window of seven days.
const WEEKS: u32 = 13;

const WIDTH: u64 = 960;
/// From the edge to the panels, and from panel to panel.
const MARGIN: u64 = 24;
const GAP: u64 = 12;
const INNER: u64 = WIDTH - 2 * MARGIN;

const TILES: u64 = 64;
const TILE_HEIGHT: u64 = 92;
const TILE_WIDTH: u64 = 129;

const BARS: u64 = TILES + TILE_HEIGHT + GAP;
const BARS_HEIGHT: u64 = 280;
/// Where the bars stand, how high the highest may be, and where the first week begins.
const FLOOR: u64 = BARS + 236;
const HIGHEST: u64 = 160;
const FIRST: u64 = MARGIN + 40;
const WEEK: u64 = (INNER - 56) / WEEKS as u64;

const TABLE: u64 = BARS + BARS_HEIGHT + GAP;
const ROW: u64 = 28;
/// The columns of the table; where text ends that is a number, and where other text begins.
const COLUMNS: [(&str, u64, &str); 9] = [
    ("Namespace", 40, ""),
    ("Name", 160, ""),
    ("Team", 280, ""),
    ("Deployments", 480, " end"),
    ("Failed", 560, " end"),
    ("Escaped", 640, " end"),
    ("Rework", 720, " end"),
    ("Recovery", 820, " end"),
    ("Lead time", 920, " end"),
];

/// Its own background, so that it reads the same on a light page and on a dark one.
const STYLE: &str = "\
text { font-family: system-ui, -apple-system, Segoe UI, Roboto, Helvetica, Arial, sans-serif; font-size: 13px; fill: #1f2430 }
.page { fill: #f3f4f6 } .panel { fill: #ffffff; stroke: #d5d8de } .window { fill: #eef2f8 } .rule { fill: #e3e6eb }
.name { font-size: 18px; font-weight: 600 } .title { font-size: 12px; font-weight: 600 }
.value { font-size: 26px; font-weight: 600 } .note { font-size: 11px; fill: #5a6270 } .head { font-size: 12px; fill: #5a6270 }
.inside { font-size: 12px; fill: #ffffff } .middle { text-anchor: middle } .end { text-anchor: end }
.deployed { fill: #3b73b9 } .contained { fill: #a86400 } .escaped { fill: #c0362c }
";

/// What is drawn, as SVG.
struct Sheet(String);

impl Sheet {
    fn rect(&mut self, class: &str, (x, y): (u64, u64), (width, height): (u64, u64)) {
        let round = if class == "panel" { " rx=\"4\"" } else { "" };
        let _ = writeln!(self.0, r#"<rect class="{class}" x="{x}" y="{y}" width="{width}" height="{height}"{round}/>"#);
    }

    fn text(&mut self, class: &str, (x, y): (u64, u64), words: &str) {
        let _ = writeln!(self.0, r#"<text class="{class}" x="{x}" y="{y}">{}</text>"#, escaped(words));
    }

    /// A panel with its title and a few words about it.
    fn panel(&mut self, (x, y): (u64, u64), size: (u64, u64), title: &str, about: &str) {
        self.rect("panel", (x, y), size);
        self.text("title", (x + 16, y + 22), title);
        self.text("note", (x + 16, y + 40), about);
    }
}

fn escaped(words: &str) -> String {
    words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A share where there are enough to speak of one, else how many of how many.
fn share(rate: Rate) -> (String, String) {
    let of = format!("{} of {}", rate.count, rate.n);
    match rate.rate {
        Some(share) => (format!("{:.1} %", share * 100.0), of),
        None => (of, "below 10: no rate".to_owned()),
    }
}

/// A span of time in its two largest units.
fn span(seconds: f64) -> String {
    let whole = SignedDuration::from_secs_f64(seconds).as_secs();
    match whole {
        86_400.. => format!("{}d {}h", whole / 86_400, whole % 86_400 / 3600),
        3600.. => format!("{}h {}m", whole / 3600, whole % 3600 / 60),
        60.. => format!("{}m {}s", whole / 60, whole % 60),
        _ => format!("{whole}s"),
    }
}

fn recovery(figures: &Figures) -> Option<f64> {
    Some(figures.recovery.as_ref()?.time?.median_seconds)
}

fn lead_time(figures: &Figures) -> Option<f64> {
    Some(figures.lead_time.promoted?.median_seconds)
}

fn or_none(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| "none".to_owned(), span)
}

/// The figures of every service.
fn each(history: &History, days: u32, until: Timestamp) -> Vec<Figures> {
    history.services().keys().map(|service| history.figures(Scope::Service(service), days, until)).collect()
}

/// Deployments, failed and contained, failed and escaped: sums over services.
fn week(history: &History, until: Timestamp) -> [u64; 3] {
    let services = each(history, 7, until);
    let sum = |count: fn(&Figures) -> u64| services.iter().map(count).sum();
    [
        sum(|one| one.frequency.deployments),
        sum(|one| one.change_fail.contained.count),
        sum(|one| one.change_fail.escaped.count),
    ]
}

fn tiles(sheet: &mut Sheet, services: &[Figures]) {
    let sum = |rate: fn(&Figures) -> Rate| {
        let rates: Vec<Rate> = services.iter().map(rate).collect();
        share(Rate::new(rates.iter().map(|one| one.count).sum(), rates.iter().map(|one| one.n).sum()))
    };
    let deployments: u64 = services.iter().map(|one| one.frequency.deployments).sum();
    let open: usize = services.iter().map(|one| one.open_failures.len()).sum();
    let medians: Vec<f64> = services.iter().filter_map(recovery).collect();
    let slowest = or_none(medians.iter().copied().reduce(f64::max));
    let tiles = [
        ("Deployments", (deployments.to_string(), format!("of {} Rollouts", services.len()))),
        ("Change fail rate", sum(|one| one.change_fail.all)),
        ("Escaped", sum(|one| one.change_fail.escaped)),
        ("Rework rate", sum(|one| one.rework.rate)),
        ("Open failures", (open.to_string(), "at this time".to_owned())),
        ("Slowest recovery, median", (slowest, format!("the largest of {} medians", medians.len()))),
    ];
    let mut x = MARGIN;
    let last = tiles.len() - 1;
    for (index, (title, (value, note))) in tiles.iter().enumerate() {
        // The last one takes the rest: it has the longest title.
        let width = if index == last { WIDTH - MARGIN - x } else { TILE_WIDTH };
        sheet.rect("panel", (x, TILES), (width, TILE_HEIGHT));
        sheet.text("title", (x + 12, TILES + 22), title);
        sheet.text("value", (x + 12, TILES + 56), value);
        sheet.text("note", (x + 12, TILES + 78), note);
        x += width + GAP;
    }
}

fn bars(sheet: &mut Sheet, history: &History, days: u32, now: Timestamp) {
    let about =
        "Deployments of each week, and what failed of them. Contained: taken back before they had reached everybody.";
    sheet.panel((MARGIN, BARS), (INNER, BARS_HEIGHT), "Failed deployments", about);
    let weeks: Vec<(Timestamp, [u64; 3])> = (0..WEEKS)
        .rev()
        .map(|ago| now - SignedDuration::from_hours(i64::from(ago) * 7 * 24))
        .map(|until| (until, week(history, until)))
        .collect();
    let most = weeks.iter().map(|(_, [deployments, ..])| *deployments).max().unwrap_or(0).max(1);
    let unit = HIGHEST / most;

    let within = u64::from(days / 7).min(u64::from(WEEKS));
    let since = FIRST + (u64::from(WEEKS) - within) * WEEK;
    sheet.rect("window", (since, FLOOR - HIGHEST - 20), (within * WEEK, HIGHEST + 20));
    sheet.text("note", (since + 8, FLOOR - HIGHEST - 6), &format!("window of {days} days"));
    for count in 0..=most {
        sheet.rect("rule", (FIRST, FLOOR - count * unit), (u64::from(WEEKS) * WEEK, 1));
        sheet.text("note end", (FIRST - 8, FLOOR - count * unit + 4), &count.to_string());
    }
    let mut x = FIRST;
    for (until, [deployments, contained, escaped]) in weeks {
        let (bar, middle) = (WEEK - 24, x + WEEK / 2);
        let mut top = FLOOR;
        let parts = [("escaped", escaped), ("contained", contained), ("deployed", deployments - contained - escaped)];
        for (class, count) in parts.into_iter().filter(|(_, count)| *count > 0) {
            top -= count * unit;
            sheet.rect(class, (x + 12, top), (bar, count * unit));
            sheet.text("inside middle", (middle, top + count * unit / 2 + 4), &count.to_string());
        }
        let from = until - SignedDuration::from_hours(7 * 24);
        sheet.text("note middle", (middle, FLOOR + 16), &from.strftime("%-d %b").to_string());
        x += WEEK;
    }
    sheet.text("note", (FIRST, FLOOR + 34), "Weeks by their first day, UTC");
    let legend =
        [("deployed", "not failed", 590), ("contained", "failed, contained", 680), ("escaped", "failed, escaped", 810)];
    for (class, words, x) in legend {
        sheet.rect(class, (x, FLOOR + 25), (10, 10));
        sheet.text("note", (x + 16, FLOOR + 34), words);
    }
}

fn table(sheet: &mut Sheet, history: &History, services: &[Figures], height: u64) {
    let about = "Counts in the window; times are medians. Recovery: from first live traffic; lead time: from a commit until it serves everybody.";
    sheet.panel((MARGIN, TABLE), (INNER, height), "Rollouts", about);
    let mut y = TABLE + 66;
    for (title, x, end) in COLUMNS {
        sheet.text(&format!("head{end}"), (x, y), title);
    }
    for ((service, owner), figures) in history.services().iter().zip(services) {
        sheet.rect("rule", (MARGIN + 16, y + 8), (INNER - 32, 1));
        y += ROW;
        let (namespace, name) = service.split_once('/').unwrap_or(("", service));
        let cells = [
            namespace.to_owned(),
            name.to_owned(),
            owner.clone().unwrap_or_default(),
            figures.frequency.deployments.to_string(),
            figures.change_fail.all.count.to_string(),
            figures.change_fail.escaped.count.to_string(),
            figures.rework.rate.count.to_string(),
            or_none(recovery(figures)),
            or_none(lead_time(figures)),
        ];
        for (cell, (_, x, end)) in cells.iter().zip(COLUMNS) {
            sheet.text(&format!("cell{end}"), (x, y), cell);
        }
    }
}

/// The whole picture.
fn draw(history: &History, days: u32, now: Timestamp) -> String {
    let services = each(history, days, now);
    let rows = u64::try_from(services.len()).unwrap();
    let (table_height, height) = (66 + rows * ROW + 16, TABLE + 66 + rows * ROW + 16 + MARGIN);
    let mut sheet = Sheet(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" \
         role=\"img\">\n<title>The dashboard sluice-delivery, drawn from an example history</title>\n\
         <style>\n{STYLE}</style>\n"
    ));
    sheet.rect("page", (0, 0), (WIDTH, height));
    sheet.text("name", (MARGIN, 42), "Sluice / Delivery");
    sheet.text("note end", (WIDTH - MARGIN, 42), &format!("Namespace: all · Window: {days}d · up to {now}"));
    tiles(&mut sheet, &services);
    bars(&mut sheet, history, days, now);
    table(&mut sheet, history, &services, table_height);
    sheet.0.push_str("</svg>\n");
    sheet.0
}

/// The words of every text of a class.
fn texts<'a>(svg: &'a str, class: &str) -> Vec<&'a str> {
    let of = |line: &'a str| {
        let (attributes, rest) = line.strip_prefix("<text class=\"")?.split_once('>')?;
        let classes = attributes.split_once('"')?.0;
        classes.split(' ').any(|one| one == class).then(|| rest.trim_end_matches("</text>"))
    };
    svg.lines().filter_map(of).collect()
}

/// The picture is what is in the file. With UPDATE_PICTURE=1 the file is written: look at it before it is committed.
#[test]
fn the_picture_of_the_dashboard_is_drawn_from_the_history() {
    let svg = draw(&judged(&records()), DAYS, now());
    if std::env::var_os("UPDATE_PICTURE").is_some() {
        std::fs::write(PICTURE, &svg).unwrap();
    }
    let expected = std::fs::read_to_string(PICTURE).unwrap_or_default();
    assert!(
        svg == expected,
        "docs/images/delivery.svg is another picture; UPDATE_PICTURE=1 draws it anew. Now:\n{svg}"
    );
}

#[test]
fn the_figures_in_the_picture_are_those_of_the_history() {
    let history = judged(&records());
    let svg = draw(&history, DAYS, now());
    // By hand: shop has 11 deployments, of which 5 failed and 5 are rework; cart has 3, of which 1 failed, after 49 h.
    assert_eq!(texts(&svg, "value"), ["14", "42.9 %", "42.9 %", "35.7 %", "1", "2d 1h"]);
    let cells = texts(&svg, "cell");
    let rows: Vec<&[&str]> = cells.chunks(COLUMNS.len()).collect();
    assert_eq!(rows.len(), history.services().len());
    for (row, service) in rows.iter().zip(history.services().keys()) {
        let figures = history.figures(Scope::Service(service), DAYS, now());
        let Figures { frequency, change_fail, rework, .. } = &figures;
        let counts = [frequency.deployments, change_fail.all.count, change_fail.escaped.count, rework.rate.count];
        assert_eq!(format!("{}/{}", row[0], row[1]), *service);
        assert_eq!(row[3..7], counts.map(|count| count.to_string()));
        assert_eq!(row[7..], [or_none(recovery(&figures)), or_none(lead_time(&figures))]);
    }
    assert_eq!((rows[1][7], rows[1][8]), ("13h 45m", "1d 0h"));
    // The bars of the window add up to the tile, and so does what is written in all of them.
    let since = (1..4).map(|ago| week(&history, now() - SignedDuration::from_hours(ago * 7 * 24)));
    assert_eq!(
        since.chain([week(&history, now())]).fold([0; 3], |[a, b, c], [x, y, z]| [a + x, b + y, c + z]),
        [14, 0, 6]
    );
    let written: u64 = texts(&svg, "inside").iter().map(|count| count.parse::<u64>().unwrap()).sum();
    let quarter = each(&history, 7 * WEEKS, now());
    assert_eq!(written, quarter.iter().map(|one| one.frequency.deployments).sum::<u64>());
}

#[test]
fn below_ten_the_picture_has_counts_and_no_rates() {
    let svg = draw(&judged(&records()), 7, now());
    let values = texts(&svg, "value");
    assert_eq!(values[..4], ["3", "1 of 3", "1 of 3", "1 of 3"], "shop-26, shop-27 and cart-3");
    assert!(!svg.contains(" %<"), "{svg}");
}

#[test]
fn titles_in_the_picture_are_those_of_the_dashboard() {
    let dashboard: Value =
        serde_json::from_str(include_str!("../../../deploy/monitoring/dashboards/sluice-delivery.json")).unwrap();
    let svg = draw(&judged(&records()), DAYS, now());
    assert_eq!(texts(&svg, "name"), [dashboard["title"].as_str().unwrap()]);
    let panels = dashboard["panels"].as_array().unwrap();
    for title in texts(&svg, "title") {
        assert!(panels.iter().any(|panel| panel["title"] == title), "the dashboard has no panel {title:?}");
    }
}

#[test]
fn the_picture_is_well_formed() {
    let svg = draw(&judged(&records()), DAYS, now());
    let mut open = Vec::new();
    for piece in svg.split('<').skip(1) {
        let (tag, text) = piece.split_once('>').unwrap_or_else(|| panic!("<{piece} has no end"));
        assert!(!text.contains('>') && tag.matches('"').count() % 2 == 0, "{piece}");
        let entities = ["&amp;", "&lt;", "&gt;", "&quot;"].iter().map(|one| text.matches(one).count()).sum::<usize>();
        assert_eq!(text.matches('&').count(), entities, "{text}");
        let name = tag.split([' ', '\n']).next().unwrap();
        match name.strip_prefix('/') {
            Some(closed) => assert_eq!(open.pop(), Some(closed)),
            None if tag.ends_with('/') => assert!(!open.is_empty(), "{tag} stands outside of svg"),
            None => open.push(name),
        }
    }
    assert!(open.is_empty() && svg.ends_with("</svg>\n"), "{open:?} stay open");
    let mut sheet = Sheet(String::new());
    sheet.text("cell", (0, 0), "<b> & \"c\"");
    assert!(sheet.0.contains(">&lt;b&gt; &amp; &quot;c&quot;</text>"), "{}", sheet.0);
}
