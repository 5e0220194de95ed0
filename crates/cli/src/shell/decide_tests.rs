//! Command lines as people type them, and what becomes of each.

use super::*;

fn words(line: &str) -> Vec<OsString> {
    line.split_whitespace().map(Into::into).collect()
}

fn text(words: &[OsString]) -> String {
    words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// A folder with a project: a script `build`, a command `tsc`, a project `web` below.
fn project() -> (tempfile::TempDir, Here) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("package.json"), r#"{"scripts": {"build": "true"}}"#).unwrap();
    for place in ["node_modules/.bin", "web"] {
        std::fs::create_dir_all(folder.path().join(place)).unwrap();
    }
    std::fs::write(folder.path().join("node_modules/.bin/tsc"), "").unwrap();
    std::fs::write(folder.path().join("web/package.json"), "{}").unwrap();
    let here = Here { folder: folder.path().to_owned(), global: false };
    (folder, here)
}

/// The decision on a line, in short.
fn said(line: &str) -> String {
    let (_folder, here) = project();
    let mut words = words(line);
    let command = words.remove(0);
    let client = Client::ALL.into_iter().find(|client| command == client.command()).unwrap();
    match decide(client, &words, &here) {
        Decision::Pass(told) if told == words => "pass".to_owned(),
        Decision::Pass(told) => format!("pass: {}", text(&told)),
        Decision::Refuse(_) => "refuse".to_owned(),
        Decision::Once(once) => {
            let from = if once.packages.is_empty() {
                String::new()
            } else {
                format!(" from {}", once.packages.join(" "))
            };
            let arguments = text(&once.arguments);
            format!("once: {}{}{arguments}{from}", once.command, if arguments.is_empty() { "" } else { " " })
        }
        Decision::Install(install) => {
            let place = install.folder.map_or(String::new(), |folder| {
                format!(" in {}", folder.strip_prefix(&here.folder).unwrap().display())
            });
            let test = if install.then_test { ", then test" } else { "" };
            format!("install: {}{place}{test}", text(&install.arguments))
        }
    }
}

#[track_caller]
fn check(expected: &str, lines: &[&str]) {
    for line in lines {
        assert_eq!(said(line), expected, "{line}");
    }
}

/// Each is handed to the same package manager with the words it was typed with.
#[track_caller]
fn check_installs(lines: &[&str]) {
    for line in lines {
        let told = line.split_once(' ').map_or("", |(_, told)| told);
        let found = said(line);
        assert_eq!(found, format!("install: {told}"), "{line}");
    }
}

#[test]
fn whatever_npm_calls_an_install_is_one() {
    check_installs(&[
        "npm install",
        "npm i",
        "npm in",
        "npm ins",
        "npm inst",
        "npm insta",
        "npm instal",
        "npm isnt",
        "npm isnta",
        "npm isntal",
        "npm isntall",
        "npm add x",
        "npm ci",
        "npm clean-install",
        "npm ic",
        "npm install-clean",
        "npm isntall-clean",
        "npm update",
        "npm up",
        "npm upgrade",
        "npm udpate",
        "npm u",
        "npm uninstall x",
        "npm unlink x",
        "npm remove x",
        "npm rm x",
        "npm r x",
        "npm un x",
        "npm dedupe",
        "npm ddp",
        "npm prune",
        "npm patch x",
        "npm cleanInstall",
        "npm upd",
        "npm dedu",
        "npm uninst x",
        "npm version 1.0.0 -w a",
        "npm version patch --workspaces",
    ]);
    check("install: install, then test", &["npm install-test", "npm it", "npm installTest"]);
    check("install: ci, then test", &["npm cit", "npm install-ci-test", "npm clean-install-test", "npm sit"]);
}

#[test]
fn what_3pm_install_says_as_well_is_said_by_it() {
    check("install: install", &["npm install"]);
    check("install: i x @a/b@^1 --save-dev", &["npm i x @a/b@^1 --save-dev"]);
    check(
        "install: install ./x --ignore-scripts --no-audit",
        &["npm install ./x --ignore-scripts --no-audit"],
    );
    check("install: install --save-exact x", &["npm install --save-exact x"]);
    check("install: install git+ssh://host/x", &["npm install git+ssh://host/x"]);
    check("install: install user/x", &["npm install user/x"]);
    check("install: --loglevel info install", &["npm --loglevel info install"]);
    check("install: install --workspace a x", &["npm install --workspace a x"]);
}

#[test]
fn what_installs_nothing_is_npms_own_matter() {
    check(
        "pass",
        &[
            "npm",
            "npm --version",
            "npm -v",
            "npm --help",
            "npm run build",
            "npm run-script build",
            "npm rum x",
            "npm urn x",
            "npm test",
            "npm t",
            "npm tst",
            "npm start",
            "npm stop",
            "npm restart",
            "npm ls",
            "npm list",
            "npm la",
            "npm ll",
            "npm outdated",
            "npm view x",
            "npm v x",
            "npm info x",
            "npm show x",
            "npm config get x",
            "npm c list",
            "npm get x",
            "npm set x y",
            "npm whoami",
            "npm login",
            "npm logout",
            "npm adduser",
            "npm add-user",
            "npm publish",
            "npm pack",
            "npm pack ./packages/a",
            "npm publish x.tgz",
            "npm root",
            "npm prefix",
            "npm bin",
            "npm rebuild",
            "npm rb",
            "npm audit",
            "npm audit signatures",
            "npm fund",
            "npm doctor",
            "npm ping",
            "npm explain x",
            "npm why x",
            "npm query x",
            "npm sbom",
            "npm pkg get name",
            "npm search x",
            "npm s x",
            "npm se x",
            "npm find x",
            "npm dist-tag ls",
            "npm dist-tags ls x",
            "npm owner ls",
            "npm author ls x",
            "npm team ls x",
            "npm org ls x",
            "npm ogr ls x",
            "npm token list",
            "npm profile get",
            "npm access list",
            "npm deprecate x y",
            "npm undeprecate x",
            "npm unpublish x",
            "npm star x",
            "npm stars",
            "npm unstar x",
            "npm hook ls",
            "npm help install",
            "npm hlep install",
            "npm help-search x",
            "npm completion",
            "npm cache clean --force",
            "npm cache ls",
            "npm docs x",
            "npm home x",
            "npm repo x",
            "npm bugs x",
            "npm issues x",
            "npm edit x",
            "npm explore x",
            "npm shrinkwrap",
            "npm find-dupes",
            "npm version patch",
            "npm verison patch",
            "npm init",
            "npm init -y",
            "npm create",
            "npm innit --yes",
            "npm stage list",
            "npm trust list",
            "npm approve-scripts",
            "npm deny-scripts x",
            "npm install-scripts ls",
            "npm set-script a b",
            "npm birthday",
            "npm --prefix install run build",
            "npm -w a run install",
            "npm install --help",
            "npm i -h",
            "npm diff --diff=a --diff=b",
            "npm run install",
            "npm run i -- -g",
        ],
    );
}

#[test]
fn where_a_line_can_be_read_in_two_ways_the_one_that_installs_counts() {
    check_installs(&["npm --unheard-of run install", "npm --unheard-of install run"]);
    check("refuse", &["npm --tag --prefix install"]);
    check("pass", &["npm --unheard-of value run build", "npm --color always run build"]);
    // `inst` alone is npm's own alias; `install-` could be three things.
    check("install: install, then test", &["npm install-t"]);
}

#[test]
fn what_cannot_be_checked_is_refused() {
    check(
        "refuse",
        &[
            "npm install -g x",
            "npm -g install x",
            "npm i --global x",
            "npm i -gD x",
            "npm i x --location=global",
            "npm i x --location global",
            "npm i -global x",
            "npm update -g",
            "npm rm -g x",
            "npm i --glob x",
            "npm link",
            "npm link x",
            "npm ln",
            "npm audit fix",
            "npm audit fix --force",
            "npm --json audit fix",
            "npm unheard-of",
            "npm install --noproxy=*",
            "npm install --no-strict-ssl",
            "npm ci --userconfig x",
            "npm install --script-shell x",
            "npm install --no-ignore-scripts",
            "npm install --ignore-scripts=false",
            "npm install --git x",
            "npm i --node-options=--require=x",
            "npm --prefix nowhere install",
            "npm --prefix web install ../x.tgz",
            "npm pack git+https://host/x",
            "npm pack user/repository",
            "npm publish github:user/x",
            "npm cache add git://host/x",
            "npm init -w a",
            "npm exec --yes -c x",
            "npm init -w a thing",
            "npx ./x",
            "npx user/x",
            "npx git+ssh://x",
            "npx -y -p x -c y",
            "pnpm add -g x",
            "pnpm -g add x",
            "pnpm link",
            "pnpm ln ../x",
            "pnpm deploy out",
            "pnpm self-update",
            "pnpm with 9 install",
            "pnpm runtime set node 24",
            "pnpm env use --global 22",
            "pnpm env add --global 22",
            "pnpm env",
            "pnpm store add x",
            "pnpm nothing-of-the-kind",
            "pnpm install --config.modules-dir=x",
            "pnpm i --modules-dir x",
            "pnpm i --pnpmfile x",
            "pnpm dlx -c x",
            "pnpm dlx --unheard-of x",
            "pnpm create user/x",
            "pnpx --shell-mode x",
            "yarn global add x",
            "yarn global upgrade",
            "yarn set version 4",
            "yarn policies set-version",
            "yarn plugin import x",
            "yarn add x --modules-folder y",
            "yarn --global-folder x add y",
            "yarn create create-x",
            "bun add -g x",
            "bun install --global",
            "bun init",
            "bun -i x.ts",
            "bun --install=force x.ts",
            "bun run -i x.ts",
            "bun create user/x",
            "bun create ./x.jsx",
            "bun install -c x",
            "bun install --no-verify",
        ],
    );
    let (_folder, here) = project();
    let global = Here { global: true, ..here };
    assert!(matches!(decide(Client::Npm, &words("install x"), &global), Decision::Refuse(_)));
    assert!(matches!(decide(Client::Npm, &words("ls"), &global), Decision::Pass(_)));
}

#[test]
fn a_flag_that_names_a_project_is_a_step_into_it() {
    check(
        "install: install x in web",
        &["npm --prefix web install x", "npm install --prefix=web x", "npm -C web install x"],
    );
    check(
        "install: add x in web",
        &["pnpm -C web add x", "pnpm --dir web add x", "yarn --cwd web add x", "bun add --cwd=web x"],
    );
}

#[test]
fn npx_and_its_kin_run_what_was_checked_or_what_is_there() {
    check(
        "once: cowsay hello",
        &[
            "npx cowsay hello",
            "npx -y cowsay hello",
            "npx -- cowsay hello",
            "npm exec cowsay hello",
            "npm x -- cowsay hello",
            "pnpm dlx cowsay hello",
            "pnpx cowsay hello",
            "pnpx --silent cowsay hello",
            "yarn dlx -q cowsay hello",
            "bunx cowsay hello",
            "bun x cowsay hello",
        ],
    );
    check(
        "once: cowsay@1.2 -y --x",
        &["npx cowsay@1.2 -y --x", "npm exec -- cowsay@1.2 -y --x", "bunx cowsay@1.2 -y --x"],
    );
    check(
        "once: ng new app from @angular/cli",
        &[
            "npx -p @angular/cli ng new app",
            "npx --package=@angular/cli ng new app",
            "npm exec --package @angular/cli -- ng new app",
            "pnpm dlx --package=@angular/cli ng new app",
            "yarn dlx -p @angular/cli ng new app",
            "bunx -p @angular/cli ng new app",
        ],
    );
    check("once: tsc", &["pnpm dlx tsc", "yarn dlx tsc"]);
    check(
        "pass",
        &[
            "npx tsc -p .",
            "npm exec tsc",
            "npx",
            "npx --version",
            "npx --help",
            "npx --no cowsay",
            "npx --no-install cowsay",
            "pnpm exec tsc",
            "yarn exec tsc",
            "npm exec",
        ],
    );
    check("pass: --no-install tsc", &["bunx tsc"]);
    check("pass: --no-install -c tsc", &["npx -c tsc"]);
    check("pass: x --no-install tsc", &["bun x tsc"]);
    // What 3pm exec has no words for runs as far as nothing has to be fetched.
    check("pass: --no-install -w a cowsay", &["npx -w a cowsay"]);
    check("pass: exec --yes=false -w a -- cowsay", &["npm exec -w a -- cowsay"]);
    check("pass: --no-install --bun vite", &["bunx --bun vite"]);
}

#[test]
fn templates_are_packages_with_a_longer_name() {
    check(
        "once: create-vite@latest app --template vue",
        &[
            "npm create vite@latest app -- --template vue",
            "npm init -y vite@latest app -- --template vue",
            "pnpm create vite@latest app --template vue",
            "yarn create vite@latest app --template vue",
            "bun create vite@latest app --template vue",
        ],
    );
    check("once: @acme/create", &["npm init @acme", "pnpm create @acme"]);
    check("once: @acme/create@2", &["npm init @acme@2"]);
    check("once: @acme/create-site@2", &["npm init @acme/site@2", "yarn create @acme/site@2"]);
    check("once: create-create-x", &["npm init create-x"]);
    check("once: create-x", &["pnpm create create-x"]);
    check("refuse", &["npm create vite app --template vue"]);
}

#[test]
fn pnpm_installs_under_these_names() {
    check_installs(&[
        "pnpm install",
        "pnpm i",
        "pnpm add x",
        "pnpm ci",
        "pnpm clean-install",
        "pnpm ic",
        "pnpm install-clean",
        "pnpm update",
        "pnpm up",
        "pnpm upgrade",
        "pnpm remove x",
        "pnpm rm x",
        "pnpm uninstall x",
        "pnpm un x",
        "pnpm uni x",
        "pnpm dedupe",
        "pnpm fetch",
        "pnpm import",
        "pnpm prune",
        "pnpm unlink",
        "pnpm dislink",
        "pnpm patch x",
        "pnpm patch-commit x",
        "pnpm patch-remove x",
        "pnpm -r install",
        "pnpm recursive install",
        "pnpm multi update",
        "pnpm m up",
        "pnpm --filter a add b",
        "pnpm -F a add b",
        "pnpm audit --fix",
        "pnpm install --frozen-lockfile",
        "pnpm recursive",
        "pnpm --unheard-of run install",
    ]);
    check("install: install, then test", &["pnpm install-test", "pnpm it"]);
    check(
        "pass",
        &[
            "pnpm",
            "pnpm -v",
            "pnpm run build",
            "pnpm build",
            "pnpm tsc",
            "pnpm -r run build",
            "pnpm recursive run build",
            "pnpm test",
            "pnpm start",
            "pnpm exec tsc",
            "pnpm -r exec x",
            "pnpm ls",
            "pnpm list",
            "pnpm why x",
            "pnpm outdated",
            "pnpm audit",
            "pnpm licenses list",
            "pnpm config get x",
            "pnpm store path",
            "pnpm store prune",
            "pnpm env list",
            "pnpm bin",
            "pnpm root",
            "pnpm pack",
            "pnpm publish",
            "pnpm init",
            "pnpm rebuild",
            "pnpm approve-builds",
            "pnpm ignored-builds",
            "pnpm setup",
            "pnpm doctor",
            "pnpm cat-file x",
            "pnpm cache list",
            "pnpm view x",
            "pnpm whoami",
            "pnpm login",
            "pnpm --filter a run build",
            "pnpm -C web run build",
            "pnpm sbom",
            "pnpm peers check",
            "pnpm clean",
            "pnpm version patch",
            "pnpm create",
        ],
    );
}

#[test]
fn yarn_installs_under_these_names_and_under_none() {
    check_installs(&[
        "yarn",
        "yarn --frozen-lockfile",
        "yarn --immutable",
        "yarn install",
        "yarn add x",
        "yarn remove x",
        "yarn upgrade",
        "yarn up x",
        "yarn import",
        "yarn dedupe",
        "yarn link ../x",
        "yarn unlink x",
        "yarn unplug x",
        "yarn rebuild",
        "yarn patch x",
        "yarn patch-commit x",
        "yarn search",
        "yarn workspaces focus",
        "yarn set resolution x y",
        "yarn workspace a add x",
        "yarn workspaces foreach -A add x",
        "yarn workspaces foreach --include a add x",
        "yarn generate-lock-entry",
        "yarn init -i",
        "yarn pack --install-if-needed",
    ]);
    check(
        "pass",
        &[
            "yarn --version",
            "yarn -v",
            "yarn --help",
            "yarn run build",
            "yarn node x.js",
            "yarn exec x",
            "yarn why x",
            "yarn info x",
            "yarn list",
            "yarn outdated",
            "yarn audit",
            "yarn npm audit",
            "yarn npm publish",
            "yarn publish",
            "yarn pack",
            "yarn version",
            "yarn config get x",
            "yarn cache clean",
            "yarn bin",
            "yarn init",
            "yarn init -y",
            "yarn licenses list",
            "yarn login",
            "yarn constraints --fix",
            "yarn workspaces info",
            "yarn workspaces list",
            "yarn workspace a run build",
            "yarn workspaces foreach -pt run build",
            "yarn global bin",
            "yarn global list",
            "yarn plugin list",
            "yarn check --integrity",
            "yarn explain",
            "yarn stage",
            "yarn help add",
            "yarn add --help",
        ],
    );
    // A name that yarn would take for a script is said to be one.
    check("pass: run build", &["yarn build"]);
    check("pass: run tsc --noEmit", &["yarn tsc --noEmit"]);
    check("pass: --cwd web run build", &["yarn --cwd web build"]);
    check("pass: workspace a run build", &["yarn workspace a build"]);
}

#[test]
fn bun_installs_under_these_names_and_runs_programs_without() {
    check_installs(&[
        "bun install",
        "bun i",
        "bun ci",
        "bun add x",
        "bun a x",
        "bun remove x",
        "bun rm x",
        "bun update",
        "bun dedupe",
        "bun prune",
        "bun patch x",
        "bun patch-commit x",
        "bun uninstall x",
        "bun link x",
        "bun audit --fix",
        "bun add -d x",
    ]);
    check(
        "pass",
        &[
            "bun",
            "bun --version",
            "bun --help",
            "bun build x.ts",
            "bun pm ls",
            "bun outdated",
            "bun audit",
            "bun info x",
            "bun publish",
            "bun why x",
            "bun link",
            "bun unlink",
            "bun upgrade",
            "bun completions",
            "bun help",
            "bun fmt",
            "bun check",
            "bun create",
        ],
    );
    check("pass: --no-install x.ts --flag", &["bun x.ts --flag"]);
    check("pass: --no-install run build", &["bun run build"]);
    check("pass: --no-install build-it", &["bun build-it"]);
    check("pass: --no-install test", &["bun test"]);
    check("pass: --no-install --hot server.ts -i", &["bun --hot server.ts -i"]);
    check("pass: --no-install -e 1", &["bun -e 1"]);
    check("pass: --no-install repl", &["bun repl"]);
}

/// Every name that npm 11 itself lists is in the table: a new one would show here.
#[test]
fn the_table_knows_every_name_that_npm_lists() {
    let table = Client::Npm.table().unwrap();
    let folder = std::env::var_os("PATH")
        .into_iter()
        .flat_map(|path| std::env::split_paths(&path).collect::<Vec<_>>());
    let npm = folder.map(|folder| folder.join("npm")).find(|npm| npm.exists()).expect("npm on the PATH");
    let list = npm.canonicalize().unwrap().parent().unwrap().join("../lib/utils/cmd-list.js");
    let text = std::fs::read_to_string(&list).expect("npm's list of commands");
    let mut names = 0;
    let mut section = false;
    for line in text.lines() {
        section = (section || line.starts_with("const commands") || line.starts_with("const aliases"))
            && !line.starts_with([']', '}']);
        let entry = line.trim().trim_end_matches(',');
        if !section || entry.starts_with("const") || entry.starts_with("//") || entry.is_empty() {
            continue;
        }
        let name = entry.split(':').next().unwrap().trim().trim_matches('\'').to_owned();
        names += 1;
        let known = table.rows.iter().any(|(known, _)| known.contains(&name.as_str()));
        assert!(known, "{name}");
    }
    assert!(names > 100, "{names}");
}

#[test]
fn what_asks_at_the_terminal_is_refused_with_what_to_type() {
    for (line, instead) in [
        ("pnpm update -i", "pnpm update NAME --latest"),
        ("pnpm update -iL", "pnpm update NAME --latest"),
        ("pnpm up --interactive --latest", "pnpm update NAME --latest"),
        ("pnpm -r update -i", "pnpm update NAME --latest"),
        ("pnpm recursive update -i", "pnpm update NAME --latest"),
        ("yarn upgrade-interactive", "yarn up NAME"),
        ("yarn upgradeInteractive", "yarn up NAME"),
        ("yarn workspace web upgrade-interactive", "yarn up NAME"),
        ("yarn up -i", "yarn up NAME"),
        ("bun update --interactive", "bun update NAME --latest"),
        ("bun update -i", "bun update NAME --latest"),
    ] {
        let (_folder, here) = project();
        let mut words = words(line);
        let command = words.remove(0);
        let client = Client::ALL.into_iter().find(|client| command == client.command()).unwrap();
        let Decision::Refuse(refusal) = decide(client, &words, &here) else { panic!("{line}") };
        assert!(refusal.why.contains("at the terminal"), "{line}: {refusal:?}");
        assert!(refusal.instead.unwrap().contains(instead), "{line}");
    }
    check_installs(&["yarn init -i", "pnpm update --no-interactive", "npm install -i"]);
}
