//! `make api`: what `/openapi.json` says, asked of a real switch by schemathesis, and linted by
//! spectral. Both are installed by `scripts/api.sh`. The last line says what was found, and the
//! exit code is the verdict.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use domain::time::WallTime;
use njia_tests::e2e::gateway::{API_KEY, GATEWAY, GatewayStage};
use serde_json::Value;

fn main() -> Result<ExitCode> {
    let variable = |name: &str| std::env::var(name).with_context(|| format!("{name} is not set"));
    let tools = PathBuf::from(variable("API_DIR")?);
    let pins = fs::canonicalize(variable("PINS")?)?;
    let cases: u64 = variable("CASES")?.parse()?;
    let stage = GatewayStage::open(tools.to_str().context("the folder")?, "stage", GATEWAY);
    let document = stage.curl_unnamed("/openapi.json", &[]);
    ensure!(document.status == 200, "there is no /openapi.json");
    let path = tools.join("openapi.json");
    fs::write(&path, &document.text)?;
    let findings = lint(&tools, &pins, &path)?;
    let report = ask(&tools, &stage, cases, &variable("SEED")?)?;
    let was_killed = stage.node.log().contains("panicked");
    let told = stage.close().len();

    let number = |pointer: &str| report.pointer(pointer).and_then(Value::as_u64);
    let count = |pointer: &str| number(pointer).with_context(|| format!("no {pointer}"));
    let made = count("/test_cases/generated")?;
    let violations = count("/test_cases/with_failures")?;
    let errors = count("/test_cases/errored")?;
    let whole = report["complete"] == true && report["exit_code"] == 0;
    println!(
        "api: {made} cases of {} operations, {violations} with violations, {errors} not made; \
         {told} messages to issuers; lint: {findings} findings",
        count("/operations/tested")?
    );
    let is_good = whole && made >= cases && told > 0 && violations + errors == 0;
    let is_good = is_good && findings == 0 && !was_killed;
    Ok(if is_good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// How much of the document spectral finds fault with.
fn lint(tools: &Path, pins: &Path, document: &Path) -> Result<usize> {
    let output = Command::new(tools.join("node/node_modules/.bin/spectral"))
        .args(["lint", "--format", "json", "--quiet"])
        .args(["--fail-severity", "hint", "--ruleset"])
        .arg(pins.join("spectral.yaml"))
        .arg(document)
        .output()
        .context("starting spectral")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let start = text.find('[').with_context(|| format!("{output:?}"))?;
    let mut findings = serde_json::Deserializer::from_str(&text[start..]).into_iter::<Value>();
    let findings = findings.next().context("spectral has said nothing")??;
    let findings = findings.as_array().context("findings are a list")?;
    for finding in findings {
        println!("spectral: {finding}");
    }
    ensure!(output.status.success() == findings.is_empty(), "{output:?}");
    Ok(findings.len())
}

/// What schemathesis has found.
fn ask(tools: &Path, stage: &GatewayStage, cases: u64, seed: &str) -> Result<Value> {
    let report = tools.join("report.json");
    if report.exists() {
        fs::remove_file(&report)?;
    }
    // A date is taken when it is near. A body of a GET is refused before the target is looked at,
    // and so is one of OPTIONS, so that what they get says nothing of the target.
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let near = WallTime::from_unix_millis(u64::try_from(since.as_millis())?).after(NEAR);
    let config = tools.join("schemathesis.toml");
    let text = format!(
        "[parameters]\n\"header.X-Date\" = \"{near}\"\n\n\
         [phases.coverage]\nunexpected-methods = [\"delete\", \"patch\", \"put\", \"trace\"]\n"
    );
    fs::write(&config, text)?;
    let url = format!("http://{}/openapi.json", stage.node.gateway_named("mobile"));
    // Some operations have few cases. Well above what is demanded all the same.
    let each = (cases / 4).max(1).to_string();
    let status = Command::new(tools.join("python/bin/schemathesis"))
        .current_dir(tools)
        .arg("--config-file")
        .arg(config)
        .arg("run")
        .arg(url)
        .args(["--header", &format!("Authorization: Bearer {API_KEY}")])
        .args(["--max-examples", &each, "--seed", seed])
        // Well formed and refused all the same: `1.0` is whole to a schema, and IBANs have digits
        // that check others.
        .args(["--exclude-checks", "positive_data_acceptance"])
        .args(["--continue-on-failure", "--request-timeout", "60"])
        .args([
            "--suppress-health-check",
            "all",
            "--generation-database",
            "none",
        ])
        .args(["--report", "json", "--report-json-path"])
        .arg(&report)
        .status()
        .context("starting schemathesis")?;
    println!("schemathesis: {status}");
    let report = fs::read_to_string(report).context("schemathesis has left no report")?;
    Ok(serde_json::from_str(&report)?)
}

/// Below the 300 s by which a date may be off, so that it is near for as long as possible.
const NEAR: Duration = Duration::from_secs(250);
