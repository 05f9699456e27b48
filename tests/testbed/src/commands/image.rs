//! `testbed image`.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use testbed::image::{self, Image};
use testbed::lifecycle;

use super::Which;

#[derive(Debug, Args)]
pub(crate) struct ImageArguments {
    #[command(flatten)]
    which: Which,
    /// The image's name, for example sluice.test/shop:dev.
    #[arg(long)]
    tag: String,
    /// Where the program is in the image.
    #[arg(long)]
    entrypoint: String,
    /// A label, as KEY=VALUE.
    #[arg(long = "label", value_parser = pair)]
    labels: Vec<(String, String)>,
    /// A further file, as PATH or PATH:PLACE.
    #[arg(long = "add")]
    files: Vec<String>,
    /// Import it into the testbed's containerd.
    #[arg(long)]
    load: bool,
    /// Where to write the archive.
    #[arg(long)]
    out: Option<PathBuf>,
    /// The program.
    file: PathBuf,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("a label is written KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

pub(super) fn run(arguments: &ImageArguments) -> Result<()> {
    anyhow::ensure!(
        arguments.load || arguments.out.is_some(),
        "nothing would come of this: say --load, --out FILE, or both"
    );
    let files: BTreeMap<_, _> = arguments
        .files
        .iter()
        .map(|text| {
            let (path, place) = text.split_once(':').unwrap_or((text, text));
            (place.to_owned(), PathBuf::from(path))
        })
        .collect();
    let image = Image {
        tag: arguments.tag.clone(),
        entrypoint: arguments.entrypoint.clone(),
        labels: arguments.labels.iter().cloned().collect(),
        files,
    };
    let layout = arguments.which.layout()?;
    let archive = match &arguments.out {
        Some(path) => path.clone(),
        None => layout.path(&format!("image-{}.tar", std::process::id())),
    };
    let parts = if arguments.load { Some(lifecycle::parts_of(&layout)?) } else { None };
    let written = image::write(&image, &arguments.file, &archive)?;
    let loaded = parts.map(|parts| lifecycle::import_image(&layout, &parts, &archive));
    if arguments.out.is_none() {
        std::fs::remove_file(&archive).context("cannot remove the archive")?;
    }
    loaded.transpose()?;
    writeln!(
        io::stdout(),
        "{} {} {:.1} MiB, {} files",
        arguments.tag,
        written.digest,
        written.bytes as f64 / 1_048_576.0,
        written.files.len()
    )?;
    Ok(())
}
