//! `viz`: the services and what they depend on, as a graph for Graphviz.

use std::fmt::Write as _;

use compose::Project;
use compose::model::service::Service;

use crate::app::{App, Warnings};
use crate::error::CommandError;

/// Print the services and their dependencies as a graph in Graphviz's language
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub(crate) struct Args {
    /// With the images
    #[arg(long)]
    image: bool,

    /// With the networks
    #[arg(long)]
    networks: bool,

    /// With the ports
    #[arg(long)]
    ports: bool,

    /// Tabs or spaces of indentation
    #[arg(long, value_name = "N", default_value = "1")]
    indentation_size: usize,

    /// Indent with spaces
    #[arg(long)]
    spaces: bool,
}

pub(crate) fn run(args: &Args, app: &App) -> Result<(), CommandError> {
    let loaded = app.load(&[], Warnings::Hidden)?;
    app.printer.data(graph(&loaded.project, args).trim_end());
    Ok(())
}

fn graph(project: &Project, args: &Args) -> String {
    let indent = if args.spaces { " " } else { "\t" }.repeat(args.indentation_size);
    let mut text = format!("digraph \"{}\" {{\n{indent}layout=dot;\n", quoted(&project.name));
    for (name, service) in &project.services {
        let _ =
            writeln!(text, "{indent}\"{}\" [style=\"filled\" label=<{}>];", quoted(name), label(name, service, args));
    }
    text.push('\n');
    for (name, service) in &project.services {
        for dependency in service.depends_on.keys() {
            let _ = writeln!(text, "{indent}\"{}\" -> \"{}\";", quoted(name), quoted(dependency));
        }
    }
    text.push_str("}\n");
    text
}

/// Graphviz takes the label for HTML.
fn label(name: &str, service: &Service, args: &Args) -> String {
    let mut text = format!("<font point-size=\"15\">{}</font>", escaped(name));
    let mut part = |title: &str, lines: Vec<String>| {
        if !lines.is_empty() {
            let _ =
                write!(text, "<font point-size=\"10\"><br/><br/><b>{title}:</b><br/>{}</font>", lines.join("<br/>"));
        }
    };
    if args.networks {
        part("Networks", service.networks.keys().map(|key| escaped(key)).collect());
    }
    if args.ports {
        let port = |port: &compose::model::port::Port| {
            let published = port.published.as_ref().map_or(String::new(), |host| format!("{host}:"));
            let address = port.host_ip.as_ref().map_or(String::new(), |address| format!("{address}:"));
            escaped(&format!("{address}{published}{} ({}, {})", port.target, port.protocol, port.mode))
        };
        part("Ports", service.ports.iter().map(port).collect());
    }
    if args.image {
        part("Image", service.image.iter().map(|image| escaped(image)).collect());
    }
    text
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use compose::model::port::Port;
    use compose::model::service::{Condition, Dependency};

    use super::*;

    #[test]
    fn services_are_nodes_and_dependencies_edges() {
        let mut project = Project { name: "shop".into(), ..Project::default() };
        let dependency = Dependency { condition: Condition::Started, restart: false, required: true };
        let port = Port {
            target: 80,
            published: Some("8080".into()),
            protocol: "tcp".into(),
            mode: "ingress".into(),
            ..Port::default()
        };
        let web = Service { depends_on: [("db".into(), dependency)].into(), ports: vec![port], ..Service::default() };
        project.services.insert("web".into(), web);
        project.services.insert("db".into(), Service { image: Some("a<b".into()), ..Service::default() });
        let args = Args { image: true, networks: false, ports: true, indentation_size: 2, spaces: true };
        let text = graph(&project, &args);
        assert!(text.starts_with("digraph \"shop\" {\n  layout=dot;\n"), "{text}");
        assert!(text.contains("\n  \"web\" -> \"db\";\n"), "{text}");
        assert!(text.contains("<b>Ports:</b><br/>8080:80 (tcp, ingress)</font>"), "{text}");
        assert!(text.contains("<b>Image:</b><br/>a&lt;b</font>"), "{text}");
    }
}
