//! From YAML to a kubeconfig, field by field as client-go's decoder takes them: names are case-sensitive, what is not
//! known is ignored, `null` is absent, and nothing but text is text.

use std::collections::BTreeMap;
use std::path::Path;

use super::paths::clean;
use super::{AuthProvider, Cluster, Context, Exec, Extensions, Kubeconfig, Preferences, Source, User};
use crate::Error;
use crate::yaml::{self, Kind, Node, Scalar, Wrong, base64};

impl Kubeconfig {
    /// Reads one kubeconfig. Paths in it are made relative to its file's directory.
    ///
    /// # Errors
    /// What kubectl would not read either, by line, entry and field.
    pub fn read(bytes: &[u8], source: Source<'_>) -> Result<Self, Error> {
        read(bytes, source)
    }
}

fn read(bytes: &[u8], source: Source<'_>) -> Result<Kubeconfig, Error> {
    let say = |wrong: Wrong, hint: &str| Error::Content { file: source.name(), line: wrong.line, what: wrong.what, hint: hint.to_owned() };
    const MEND: &str = "mend the file; kubectl config view reads the same format";
    let (text, _) = yaml::decode(bytes).map_err(|e| say(e, MEND))?;
    let document = yaml::parse(&text).map_err(|e| say(e, MEND))?;
    let mut config = match &document.root {
        Some(root) => whole(root).map_err(|e| {
            let hint = if e.unquoted { "put the value in quotes, as kubectl needs it too" } else { MEND };
            say(e, hint)
        })?,
        None => Kubeconfig::default(),
    };
    match source {
        Source::File(path) => {
            originate(&mut config, path);
            settle(&mut config, path);
        }
        Source::Shown(path) => originate(&mut config, path),
        Source::Secret(_) => config.inline = true,
    }
    Ok(config)
}

/// Notes which file all entries come from.
fn originate(config: &mut Kubeconfig, path: &Path) {
    let origin = || Some(path.to_owned());
    config.clusters.values_mut().for_each(|cluster| cluster.origin = origin());
    config.users.values_mut().for_each(|user| user.origin = origin());
    config.contexts.values_mut().for_each(|context| context.origin = origin());
}

/// Resolves relative paths against the file's directory, as kubectl does; a bare command is looked up in `PATH`.
fn settle(config: &mut Kubeconfig, path: &Path) {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let dir = absolute.parent().unwrap_or(Path::new("/"));
    let fix = |text: &mut String| {
        if !text.is_empty() && Path::new(text.as_str()).is_relative() {
            *text = clean(&dir.join(text.as_str()));
        }
    };
    for cluster in config.clusters.values_mut() {
        fix(&mut cluster.certificate_authority);
    }
    for user in config.users.values_mut() {
        fix(&mut user.client_certificate);
        fix(&mut user.client_key);
        fix(&mut user.token_file);
        if let Some(exec) = user.exec.as_mut().filter(|exec| exec.command.contains('/')) {
            fix(&mut exec.command);
        }
    }
}

/// A mapping that is being taken apart: where it is, for messages, and its fields.
struct Fields<'a> {
    place: String,
    all: BTreeMap<String, &'a Node>,
}

impl<'a> Fields<'a> {
    /// The fields of a mapping; none of `null`.
    fn of(place: impl Into<String>, node: &'a Node) -> Result<Self, Wrong> {
        let place = place.into();
        match &*node.target().kind {
            Kind::Mapping(..) => Ok(Self { place, all: node.entries() }),
            _ if node.is_null() => Ok(Self { place, all: BTreeMap::new() }),
            _ => Err(Wrong::new(node.line, format!("{place} is {}, it must be a mapping", kind(node)))),
        }
    }

    /// How to call a field.
    fn path(&self, key: &str) -> String {
        if self.place.is_empty() { key.to_owned() } else { format!("{}: {key}", self.place) }
    }

    fn text(&self, key: &str) -> Result<String, Wrong> {
        self.all.get(key).map_or(Ok(String::new()), |node| text(&self.path(key), node))
    }

    fn flag(&self, key: &str) -> Result<bool, Wrong> {
        let Some(node) = self.all.get(key) else { return Ok(false) };
        match node.scalar()? {
            Some(Scalar::Bool(value)) => Ok(value),
            Some(Scalar::Null) => Ok(false),
            _ => Err(Wrong::new(node.line, format!("{} is {}, it must be true or false", self.path(key), kind(node)))),
        }
    }

    fn data(&self, key: &str) -> Result<Vec<u8>, Wrong> {
        let text = self.text(key)?;
        let line = self.all.get(key).map_or(0, |node| node.line);
        base64(&text).ok_or_else(|| {
            let why = if text.contains([' ', '\t']) {
                "has blanks in it: write it on one line, or as a literal block (|)"
            } else {
                "is not valid base64"
            };
            Wrong::new(line, format!("{} {why}", self.path(key)))
        })
    }

    fn list(&self, key: &str) -> Result<&'a [Node], Wrong> {
        let Some(node) = self.all.get(key) else { return Ok(&[]) };
        match &*node.target().kind {
            Kind::Sequence(items, _) => Ok(items),
            _ if node.is_null() => Ok(&[]),
            _ => Err(Wrong::new(node.line, format!("{} is {}, it must be a list", self.path(key), kind(node)))),
        }
    }

    fn texts(&self, key: &str) -> Result<Vec<String>, Wrong> {
        self.list(key)?.iter().enumerate().map(|(i, item)| text(&format!("{}[{i}]", self.path(key)), item)).collect()
    }

    fn inner(&self, key: &str) -> Result<Option<Self>, Wrong> {
        match self.all.get(key) {
            Some(node) if !node.is_null() => Self::of(self.path(key), node).map(Some),
            _ => Ok(None),
        }
    }

    fn extensions(&self) -> Result<Extensions, Wrong> {
        let mut all = BTreeMap::new();
        for (i, item) in self.list("extensions")?.iter().enumerate() {
            let one = Fields::of(format!("{}[{i}]", self.path("extensions")), item)?;
            let name = one.text("name")?;
            let value = one.all.get("extension").map_or(Ok(serde_json::Value::Null), |node| node.json())?;
            all.entry(name).or_insert(value);
        }
        Ok(all)
    }
}

fn text(path: &str, node: &Node) -> Result<String, Wrong> {
    match node.scalar()? {
        Some(Scalar::Text(text)) => Ok(text.into_owned()),
        Some(Scalar::Null) => Ok(String::new()),
        Some(_) => {
            let wrong = Wrong::new(node.line, format!("{path} is {} where a text belongs", kind(node)));
            Err(Wrong { unquoted: true, ..wrong })
        }
        None => Err(Wrong::new(node.line, format!("{path} is {}, it must be a text", kind(node)))),
    }
}

/// What a node is, without what it says.
fn kind(node: &Node) -> &'static str {
    match (&*node.target().kind, node.scalar()) {
        (Kind::Sequence(..), _) => "a list",
        (Kind::Mapping(..), _) => "a mapping",
        (_, Ok(Some(Scalar::Bool(_)))) => "a truth value (yes, no, on, off, y, n, true or false without quotes)",
        (_, Ok(Some(Scalar::Int(_) | Scalar::Float(_)))) => "a number (without quotes)",
        (_, Ok(Some(Scalar::Text(_)))) => "a text",
        _ => "nothing",
    }
}

fn whole(root: &Node) -> Result<Kubeconfig, Wrong> {
    if !matches!(&*root.target().kind, Kind::Mapping(..)) && !root.is_null() {
        return Err(Wrong::new(root.line, format!("it is {}, a kubeconfig is a mapping", kind(root))));
    }
    let fields = Fields::of("", root)?;
    for (key, right) in [("kind", "Config"), ("apiVersion", "v1")] {
        let said = fields.text(key)?;
        if !said.is_empty() && said != right {
            let line = fields.all.get(key).map_or(0, |node| node.line);
            return Err(Wrong::new(line, format!("{key} is not {right}")));
        }
    }
    let preferences =
        fields.inner("preferences")?.map(|inner| Ok(Preferences { colors: inner.flag("colors")?, extensions: inner.extensions()? }));
    Ok(Kubeconfig {
        preferences: preferences.transpose()?.unwrap_or_default(),
        extensions: fields.extensions()?,
        clusters: named(&fields, "clusters", "cluster", cluster)?,
        users: named(&fields, "users", "user", user)?,
        contexts: named(&fields, "contexts", "context", context)?,
        current_context: fields.text("current-context")?,
        inline: false,
    })
}

fn named<T>(
    fields: &Fields<'_>,
    list: &str,
    key: &str,
    decode: impl Fn(&Fields<'_>) -> Result<T, Wrong>,
) -> Result<BTreeMap<String, T>, Wrong> {
    let mut all = BTreeMap::new();
    for (i, item) in fields.list(list)?.iter().enumerate() {
        let outer = Fields::of(format!("{list}[{i}]"), item)?;
        let name = outer.text("name")?;
        let place = if name.is_empty() { format!("{list}[{i}]") } else { format!("{key} \"{name}\"") };
        let inner = match outer.all.get(key) {
            Some(node) => Fields::of(place.clone(), node)?,
            None => Fields { place: place.clone(), all: BTreeMap::new() },
        };
        let entry = decode(&inner)?;
        if all.insert(name, entry).is_some() {
            return Err(Wrong::new(item.line, format!("{place} is there twice; which one counts is not clear")));
        }
    }
    Ok(all)
}

fn cluster(fields: &Fields<'_>) -> Result<Cluster, Wrong> {
    Ok(Cluster {
        server: fields.text("server")?,
        tls_server_name: fields.text("tls-server-name")?,
        insecure_skip_tls_verify: fields.flag("insecure-skip-tls-verify")?,
        certificate_authority: fields.text("certificate-authority")?,
        certificate_authority_data: fields.data("certificate-authority-data")?,
        proxy_url: fields.text("proxy-url")?,
        disable_compression: fields.flag("disable-compression")?,
        extensions: fields.extensions()?,
        origin: None,
    })
}

fn user(fields: &Fields<'_>) -> Result<User, Wrong> {
    let mut extra = BTreeMap::new();
    if let Some(inner) = fields.inner("as-user-extra")? {
        for key in inner.all.keys() {
            extra.insert(key.clone(), inner.texts(key)?);
        }
    }
    let provider = fields.inner("auth-provider")?.map(|provider| {
        let mut settings = BTreeMap::new();
        if let Some(config) = provider.inner("config")? {
            for key in config.all.keys() {
                settings.insert(key.clone(), config.text(key)?);
            }
        }
        Ok(AuthProvider { name: provider.text("name")?, config: settings })
    });
    Ok(User {
        client_certificate: fields.text("client-certificate")?,
        client_certificate_data: fields.data("client-certificate-data")?,
        client_key: fields.text("client-key")?,
        client_key_data: fields.data("client-key-data")?,
        token: fields.text("token")?,
        token_file: fields.text("tokenFile")?,
        act_as: fields.text("as")?,
        act_as_uid: fields.text("as-uid")?,
        act_as_groups: fields.texts("as-groups")?,
        act_as_user_extra: extra,
        username: fields.text("username")?,
        password: fields.text("password")?,
        auth_provider: provider.transpose()?,
        exec: fields.inner("exec")?.as_ref().map(exec).transpose()?,
        extensions: fields.extensions()?,
        origin: None,
    })
}

fn exec(fields: &Fields<'_>) -> Result<Exec, Wrong> {
    let mut env = Vec::new();
    for (i, item) in fields.list("env")?.iter().enumerate() {
        let one = Fields::of(format!("{}[{i}]", fields.path("env")), item)?;
        env.push((one.text("name")?, one.text("value")?));
    }
    let api_version = fields.text("apiVersion")?;
    let mut interactive_mode = fields.text("interactiveMode")?;
    // The default of the older versions, set where client-go sets it.
    if interactive_mode.is_empty() && (api_version.ends_with("/v1beta1") || api_version.ends_with("/v1alpha1")) {
        "IfAvailable".clone_into(&mut interactive_mode);
    }
    Ok(Exec {
        command: fields.text("command")?,
        args: fields.texts("args")?,
        env,
        api_version,
        install_hint: fields.text("installHint")?,
        provide_cluster_info: fields.flag("provideClusterInfo")?,
        interactive_mode,
    })
}

fn context(fields: &Fields<'_>) -> Result<Context, Wrong> {
    Ok(Context {
        cluster: fields.text("cluster")?,
        user: fields.text("user")?,
        namespace: fields.text("namespace")?,
        extensions: fields.extensions()?,
        origin: None,
    })
}
