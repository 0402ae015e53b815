//! The description of the admin protocol for generators of clients: OpenAPI, from the types themselves.
//!
//! `api/openapi.json` holds its text; a test of the daemon compares the two and names the command that writes it anew.

use utoipa::openapi::path::{HttpMethod, OperationBuilder, ParameterBuilder, ParameterIn, PathItemBuilder};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, InfoBuilder, ObjectBuilder, OpenApi, OpenApiBuilder, PathsBuilder, Ref, RefOr,
    Required, ResponseBuilder, Schema, Type,
};
use utoipa::{IntoParams, ToSchema};

use crate::{
    Done, Drain, DrillReport, DrillRequest, Event, Forget, GatewayCost, Journal, LinkCost, LogFilter, Mesh,
    PROTOCOL_VERSION, Plan, PlanRequest, Probe, Refusal, Reload, ReloadRequest, SetLogLevel, Snapshot, Status, Why,
    WhyQuery,
};

/// The whole description.
pub fn document() -> OpenApi {
    let mut this = Document::default();
    this.schema::<Refusal>();
    this.get::<Status>("/v1/status", "This node, its peers, what is wrong");
    this.get::<Mesh>("/v1/mesh", "The whole mesh: nodes and links");
    this.get::<Snapshot>("/v1/snapshot", "Everything a dashboard shows, at one moment");
    this.stream();
    this.get::<Journal>("/v1/journal", "The last events");
    let why = this.operation::<Why>("Why packets between two nodes travel as they do", READ);
    let why = why.parameters(Some(WhyQuery::into_params(|| Some(ParameterIn::Query))));
    this.path("/v1/why", HttpMethod::Get, why);
    this.post::<PlanRequest, Plan>("/v1/plan", "What changes would bring; nothing is touched", READ);
    this.post::<LinkCost, Done>("/v1/link-cost", "Sets or clears the cost of the link to a neighbour", ADMIN);
    let about = "Sets or clears the least cost of every link of this gateway";
    this.post::<GatewayCost, Done>("/v1/gateway-cost", about, ADMIN);
    let about = "Leads the traffic of others around this gateway, or takes it back";
    this.post::<Drain, Done>("/v1/drain", about, ADMIN);
    let about = "Has a gateway withdraw for a while, and measures from this node how the others do without it";
    this.post::<DrillRequest, Done>("/v1/drill", about, ADMIN);
    let end = this.operation::<Done>("Calls the gateway of the drill back", ADMIN);
    this.path("/v1/drill-end", HttpMethod::Post, end);
    this.get::<DrillReport>("/v1/drill-report", "The drill that goes on, or the last one");
    this.post::<Probe, Done>("/v1/probe", "Probes one link, or all of them, now", ADMIN);
    let about = "Lets the name of a reinstalled or lost node go to another identity";
    this.post::<Forget, Done>("/v1/forget", about, ADMIN);
    this.post::<ReloadRequest, Reload>("/v1/reload", "Reads the network file again", ADMIN);
    let confirm = this.operation::<Done>("Keeps what a reload brought", ADMIN);
    this.path("/v1/confirm", HttpMethod::Post, confirm);
    this.post::<SetLogLevel, LogFilter>("/v1/log-level", "Sets how much the daemon logs", ADMIN);
    this.text("/v1/openapi.json", "application/json", "This description", Type::Object);
    this.text("/metrics", "application/openmetrics-text", "Figures for Prometheus", Type::String);
    this.finish()
}

/// Roles: who may read ...
const READ: &str = "read";
/// ... and who may also change something.
const ADMIN: &str = "admin";

#[derive(Default)]
struct Document {
    schemas: Vec<(String, RefOr<Schema>)>,
    paths: PathsBuilder,
}

impl Document {
    /// Adds a type and all that it is made of; returns a reference to it.
    fn schema<T: ToSchema>(&mut self) -> Ref {
        self.schemas.push((T::name().into_owned(), T::schema()));
        T::schemas(&mut self.schemas);
        Ref::from_schema_name(T::name())
    }

    fn get<A: ToSchema>(&mut self, path: &str, about: &str) {
        let operation = self.operation::<A>(about, READ);
        self.path(path, HttpMethod::Get, operation);
    }

    fn post<B: ToSchema, A: ToSchema>(&mut self, path: &str, about: &str, role: &str) {
        let content = ContentBuilder::new().schema(Some(self.schema::<B>())).build();
        let body = RequestBodyBuilder::new().content("application/json", content).required(Some(Required::True));
        let operation = self.operation::<A>(about, role).request_body(Some(body.build()));
        self.path(path, HttpMethod::Post, operation);
    }

    fn stream(&mut self) {
        let about = "Events as they happen: first the present moment, then differences and the journal";
        let content = ContentBuilder::new().item_schema(Some(self.schema::<Event>())).build();
        let last = ParameterBuilder::new()
            .name("Last-Event-ID")
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some("The last id that was seen, to go on from there"))
            .schema(Some(ObjectBuilder::new().schema_type(Type::String)));
        let operation = answered(about, READ, "text/event-stream", content).parameter(last);
        self.path("/v1/stream", HttpMethod::Get, operation);
    }

    fn text(&mut self, path: &str, kind: &str, about: &str, schema: Type) {
        let content = ContentBuilder::new().schema(Some(ObjectBuilder::new().schema_type(schema))).build();
        self.path(path, HttpMethod::Get, answered(about, READ, kind, content));
    }

    fn operation<A: ToSchema>(&mut self, about: &str, role: &str) -> OperationBuilder {
        let content = ContentBuilder::new().schema(Some(self.schema::<A>())).build();
        answered(about, role, "application/json", content)
    }

    fn path(&mut self, path: &str, method: HttpMethod, operation: OperationBuilder) {
        let name = path.trim_start_matches("/v1/").replace(['/', '-', '.'], "_");
        let operation = operation.operation_id(Some(name.trim_start_matches('_')));
        let item = PathItemBuilder::new().operation(method, operation.build()).build();
        self.paths = std::mem::take(&mut self.paths).path(path, item);
    }

    fn finish(self) -> OpenApi {
        let about = "What a running wgnet daemon tells and takes: over its unix socket, where the kernel tells who asks, \
                     and over a TCP port that is asked for with --api-listen, where a token does.";
        let token = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
        let components = ComponentsBuilder::new().security_scheme("token", token);
        let components =
            self.schemas.into_iter().fold(components, |components, (name, schema)| components.schema(name, schema));
        OpenApiBuilder::new()
            .info(InfoBuilder::new().title("wgnet").version(PROTOCOL_VERSION).description(Some(about)).build())
            .paths(self.paths.build())
            .components(Some(components.build()))
            .build()
    }
}

fn answered(about: &str, role: &str, kind: &str, content: utoipa::openapi::Content) -> OperationBuilder {
    let refusal = ContentBuilder::new().schema(Some(Ref::from_schema_name(Refusal::name()))).build();
    OperationBuilder::new()
        .summary(Some(about))
        .tag(role)
        .response("200", ResponseBuilder::new().description("Done").content(kind, content))
        .response(
            "default",
            ResponseBuilder::new().description("Refused; nothing changed").content("application/json", refusal),
        )
}
