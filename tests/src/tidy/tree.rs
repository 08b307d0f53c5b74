//! The workspace as it lies on disk: packages, sources, other texts.

use std::fs;
use std::path::{Path, PathBuf};

use super::modules;
use super::source::SourceFile;

/// Everything that the checks read.
#[derive(Debug)]
pub struct Tree {
    pub root: PathBuf,
    pub packages: Vec<Package>,
    /// All Rust files of the packages; those that only tests reach have no production code.
    pub sources: Vec<SourceFile>,
    /// Files that no `mod` reaches from a crate root of their package.
    pub unreached: Vec<String>,
    /// Prose and scripts, as (path, text).
    pub texts: Vec<(String, String)>,
}

/// One member of the workspace.
#[derive(Debug)]
pub struct Package {
    /// Folder below the root; also the crate's name in the table of arrows.
    pub folder: String,
    pub manifest: toml::Table,
}

impl Tree {
    /// Reads the workspace that holds this package.
    ///
    /// # Panics
    /// When a file of the workspace cannot be read.
    #[must_use]
    pub fn load() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut files = Vec::new();
        walk(&root, &root, &mut files);
        files.sort();
        let packages = packages(&root);
        let mut tree = Self {
            packages,
            sources: Vec::new(),
            unreached: Vec::new(),
            texts: Vec::new(),
            root,
        };
        for path in files {
            let text = tree.read(&path);
            if !path.ends_with(".rs") {
                tree.texts.push((path, text));
            } else if tree.packages.iter().any(|package| package.holds(&path)) {
                tree.sources.push(SourceFile::new(&path, &text));
            }
        }
        modules::mark(&mut tree);
        tree
    }

    /// The text of one file below the root.
    ///
    /// # Panics
    /// When the file is missing or not UTF-8.
    #[must_use]
    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// The text of one file that need not exist.
    #[must_use]
    pub fn read_optional(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.root.join(path)).ok()
    }
}

impl Package {
    /// Whether `path` lies in this package.
    #[must_use]
    pub fn holds(&self, path: &str) -> bool {
        path.strip_prefix(self.folder.as_str())
            .is_some_and(|rest| rest.starts_with('/'))
    }
}

fn packages(root: &Path) -> Vec<Package> {
    let workspace = table(&root.join("Cargo.toml"));
    let members = workspace["workspace"]["members"]
        .as_array()
        .expect("members is a list");
    let folders = members
        .iter()
        .map(|member| member.as_str().expect("a member is a path"));
    folders
        .map(|folder| Package {
            folder: folder.to_owned(),
            manifest: table(&root.join(folder).join("Cargo.toml")),
        })
        .collect()
}

fn table(path: &Path) -> toml::Table {
    let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    text.parse()
        .unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Collects sources, prose and scripts; leaves out hidden folders and build output.
fn walk(root: &Path, folder: &Path, files: &mut Vec<String>) {
    let entries = fs::read_dir(folder).expect("a folder of the workspace can be read");
    for entry in entries {
        let path = entry.expect("an entry can be read").path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if path.is_dir() {
            let is_fuzz = folder == root && name == "fuzz";
            if !name.starts_with('.') && name != "target" && !is_fuzz {
                walk(root, &path, files);
            }
        } else if is_read(&name) {
            let below = path
                .strip_prefix(root)
                .expect("the walk stays below the root");
            files.push(below.to_string_lossy().replace('\\', "/"));
        }
    }
}

fn is_read(name: &str) -> bool {
    name == "Makefile" || [".rs", ".md", ".sh"].iter().any(|end| name.ends_with(end))
}
