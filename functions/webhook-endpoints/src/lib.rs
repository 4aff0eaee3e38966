//! The endpoints that a business has its events sent to: made, changed, deleted, tried out; and
//! what was sent to them, which can be sent again.

pub mod request;
mod view;

use lambda_http::http::{Method, StatusCode};
use lambda_http::{Body, Request, RequestExt, Response};
use serde::Serialize;
use uuid::Uuid;

use domain::event::{Change, EventSequence};
use domain::problem::Refusal;
use domain::webhook::signature::{ROTATION_OVERLAP, SECRET_BYTES};
use domain::webhook::{DeliveryStatus, EndpointHealth, EndpointStatus, Reach, SigningSecret};
use domain::{BusinessId, EndpointId, Operation};
use platform::api::{self, ApiError, Authenticator};
use platform::aws::Aws;
use platform::error::InternalError;
use platform::query::Query;
use platform::queue::EventBells;
use platform::redelivery::Redeliverer;
use platform::routes::route_key;
use platform::runtime::{Error, HttpFunction};
use platform::secrets::Secrets;
use platform::settings;
use platform::table::record::{Endpoint, EventData, FormerSecret};
use platform::table::{CreateEndpointOutcome, EventDraft, EventList, LoadRequest, Table};
use request::{CURSOR, EndpointChange, NewEndpoint};
use view::{DeliveryView, EndpointView};

/// The most bytes of a body.
pub const MAX_BODY_BYTES: usize = 16 * 1024;

/// How many deliveries a page has if the caller does not ask for a number.
const DEFAULT_PAGE_SIZE: u64 = 50;

/// The most deliveries of a page.
const MAX_PAGE_SIZE: u64 = 100;

/// The function.
#[derive(Debug, Clone)]
pub struct WebhookEndpoints {
    authenticator: Authenticator,
    bells: EventBells,
    reach: Reach,
}

#[derive(Serialize)]
struct EndpointList<'a> {
    endpoints: Vec<EndpointView<'a>>,
}

#[derive(Serialize)]
struct DeliveryPage<'a> {
    deliveries: Vec<DeliveryView<'a>>,
    next: String,
    has_more: bool,
}

#[derive(Serialize)]
struct RedeliveryAnswer {
    /// How many events are sent again.
    count: usize,
    /// Where to go on, if there are more.
    next: Option<String>,
}

impl HttpFunction for WebhookEndpoints {
    /// Reads `TABLE_NAME`, `AGENT_KEYS_SECRET`, `WEBHOOK_QUEUE_URL`, `WEBHOOK_REACH` and what AWS
    /// clients need.
    fn from_env() -> Result<WebhookEndpoints, Error> {
        let aws = Aws::from_env()?;
        Ok(WebhookEndpoints {
            authenticator: Authenticator::from_env(&aws, &Secrets::new(&aws))?,
            bells: EventBells::from_env(&aws)?,
            reach: settings::webhook_reach()?,
        })
    }

    async fn handle(&self, request: &Request) -> Result<Response<Body>, ApiError> {
        let route = route_key(request).unwrap_or_default();
        let parameters = request.path_parameters();
        let Some(id) = parameters.first("endpoint_id") else {
            return match *request.method() {
                Method::POST => self.create(request).await,
                _ => self.list(request).await,
            };
        };

        match *request.method() {
            Method::PATCH => self.change(request, id).await,
            Method::DELETE => self.delete(request, id).await,
            Method::POST if route.ends_with("/rotate-secret") => self.rotate(request, id).await,
            Method::POST if route.ends_with("/test") => self.test(request, id).await,
            Method::POST => self.redeliver(request, id).await,
            _ if route.ends_with("/deliveries") => self.list_deliveries(request, id).await,
            _ => self.read(request, id).await,
        }
    }
}

/// The caller of a request that is about one endpoint.
struct OwnEndpoint {
    business_id: BusinessId,
    endpoint_id: EndpointId,
    endpoint: Endpoint,
}

impl WebhookEndpoints {
    fn table(&self) -> &Table {
        &self.authenticator.table
    }

    /// Authenticates the caller of a request without a conversation.
    async fn caller(&self, event: &Request, operation: Operation) -> Result<BusinessId, ApiError> {
        let now = self.authenticator.clock.now();
        let claims = self.authenticator.read_token(event.headers(), now).await?;
        let load = LoadRequest::default();
        let (caller, _) = self.authenticator.authenticate(claims, operation, load, now).await?;
        Ok(caller.business_id)
    }

    /// Authenticates the caller, and reads the endpoint that the path names.
    async fn own_endpoint(
        &self,
        event: &Request,
        operation: Operation,
        id: &str,
        query: Query,
    ) -> Result<OwnEndpoint, ApiError> {
        let business_id = self.caller(event, operation).await?;
        let id = api::path_id::<EndpointId>(Some(id), "endpoint_id");
        let endpoint_id = api::valid(id, query.into_errors())?;
        let endpoint = self.table().endpoint(business_id, endpoint_id).await?;
        let endpoint = endpoint.ok_or(Refusal::EndpointNotFound)?;
        Ok(OwnEndpoint { business_id, endpoint_id, endpoint })
    }

    /// `POST /api/v1/webhook_endpoints`.
    async fn create(&self, event: &Request) -> Result<Response<Body>, ApiError> {
        check_size(event)?;
        let business_id = self.caller(event, Operation::ManageEndpoints).await?;
        api::check_json(event.headers(), api::JSON)?;
        let errors = Query::read(event, &[]).into_errors();
        let NewEndpoint { url, events, description } =
            request::new_endpoint(event.body(), self.reach)
                .map_err(|found| Refusal::Invalid([errors, found].concat()))?;

        let endpoint_id = EndpointId(Uuid::from_u128(rand::random()));
        let endpoint = Endpoint {
            url,
            events,
            description,
            status: EndpointStatus::Enabled,
            secret: SigningSecret::new(rand::random::<[u8; SECRET_BYTES]>()),
            former_secret: None,
            created_at: self.authenticator.clock.now(),
            health: EndpointHealth::default(),
        };

        match self.table().create_endpoint(business_id, endpoint_id, &endpoint).await? {
            CreateEndpointOutcome::Created => {}
            CreateEndpointOutcome::TooMany => return Err(Refusal::TooManyEndpoints.into()),
        }

        let view = EndpointView::with_secret(endpoint_id, &endpoint);
        Ok(api::json(StatusCode::CREATED, &view)?)
    }

    /// `GET /api/v1/webhook_endpoints`.
    async fn list(&self, event: &Request) -> Result<Response<Body>, ApiError> {
        let business_id = self.caller(event, Operation::ReadEndpoints).await?;
        api::valid(Ok(()), Query::read(event, &[]).into_errors())?;
        let endpoints = self.table().endpoints(business_id).await?;
        let views = endpoints.iter().map(|(id, endpoint)| EndpointView::of(*id, endpoint));
        Ok(api::json(StatusCode::OK, &EndpointList { endpoints: views.collect() })?)
    }

    /// `GET /api/v1/webhook_endpoints/{endpoint_id}`.
    async fn read(&self, event: &Request, id: &str) -> Result<Response<Body>, ApiError> {
        let query = Query::read(event, &[]);
        let own = self.own_endpoint(event, Operation::ReadEndpoints, id, query).await?;
        Ok(api::json(StatusCode::OK, &EndpointView::of(own.endpoint_id, &own.endpoint))?)
    }

    /// `PATCH /api/v1/webhook_endpoints/{endpoint_id}`.
    async fn change(&self, event: &Request, id: &str) -> Result<Response<Body>, ApiError> {
        check_size(event)?;
        let query = Query::read(event, &[]);
        let own = self.own_endpoint(event, Operation::ManageEndpoints, id, query).await?;
        api::check_json(event.headers(), api::JSON)?;
        let EndpointChange { url, events, description, status } =
            request::endpoint_change(event.body(), self.reach).map_err(Refusal::Invalid)?;

        let OwnEndpoint { business_id, endpoint_id, endpoint: was } = own;
        let health = if url.is_some() { EndpointHealth::default() } else { was.health };
        let changed = Endpoint {
            url: url.unwrap_or_else(|| was.url.clone()),
            events: events.unwrap_or_else(|| was.events.clone()),
            description: description.unwrap_or_else(|| was.description.clone()),
            health,
            ..was.clone()
        };
        let is = match status {
            Some(status) => changed.switched(status),
            None => changed,
        };

        self.write(business_id, endpoint_id, &was, &is).await?;
        Ok(api::json(StatusCode::OK, &EndpointView::of(endpoint_id, &is))?)
    }

    /// Stores a change; another one at the same moment is contention.
    async fn write(
        &self,
        business_id: BusinessId,
        endpoint_id: EndpointId,
        was: &Endpoint,
        is: &Endpoint,
    ) -> Result<(), ApiError> {
        if self.table().change_endpoint(business_id, endpoint_id, was, is).await? {
            Ok(())
        } else {
            Err(Refusal::Busy.into())
        }
    }

    /// `DELETE /api/v1/webhook_endpoints/{endpoint_id}`.
    async fn delete(&self, event: &Request, id: &str) -> Result<Response<Body>, ApiError> {
        let query = Query::read(event, &[]);
        let own = self.own_endpoint(event, Operation::ManageEndpoints, id, query).await?;
        if !self.table().delete_endpoint(own.business_id, own.endpoint_id).await? {
            return Err(Refusal::EndpointNotFound.into());
        }
        Response::builder()
            .status(StatusCode::NO_CONTENT)
            .body(Body::Empty)
            .map_err(|error| InternalError::because("writing an answer", error).into())
    }

    /// `POST …/rotate-secret`.
    async fn rotate(&self, event: &Request, id: &str) -> Result<Response<Body>, ApiError> {
        let query = Query::read(event, &[]);
        let own = self.own_endpoint(event, Operation::ManageEndpoints, id, query).await?;
        let now = self.authenticator.clock.now();
        let OwnEndpoint { business_id, endpoint_id, endpoint: was } = own;
        let former =
            FormerSecret { secret: was.secret.clone(), signs_until: now + ROTATION_OVERLAP };
        let is = Endpoint {
            secret: SigningSecret::new(rand::random::<[u8; SECRET_BYTES]>()),
            former_secret: Some(former),
            ..was.clone()
        };

        self.write(business_id, endpoint_id, &was, &is).await?;
        Ok(api::json(StatusCode::OK, &EndpointView::with_secret(endpoint_id, &is))?)
    }

    /// `POST …/test`: an event for this endpoint alone, whichever kinds it asks for.
    async fn test(&self, event: &Request, id: &str) -> Result<Response<Body>, ApiError> {
        let query = Query::read(event, &[]);
        let own = self.own_endpoint(event, Operation::ManageEndpoints, id, query).await?;
        let OwnEndpoint { business_id, endpoint_id, .. } = own;
        let now = self.authenticator.clock.now();
        let change = Change::Test(Uuid::from_u128(rand::random()));
        let draft = EventDraft { change, data: EventData::Test {} };

        let events = self.table().publish_events(business_id, &[draft], &[], now).await?;
        let Some(event_id) = events.first().map(|event| event.id) else {
            return Err(InternalError::new("making an event to test with").into());
        };

        self.redeliverer(business_id, endpoint_id).send(events, now).await?;
        let answer = serde_json::json!({ "event_id": event_id });
        Ok(api::json(StatusCode::ACCEPTED, &answer)?)
    }

    /// `GET …/deliveries`: newest first. A page is one read of the events and one of what was sent
    /// of them, so it may have fewer deliveries than it could, and go on behind them.
    async fn list_deliveries(&self, event: &Request, id: &str) -> Result<Response<Body>, ApiError> {
        let mut query = Query::read(event, &["status", "before", "limit"]);
        let expected = "'pending', 'delivered' or 'failed'";
        let status = query.parse("status", expected, "enum", parse_status);
        let before = query.parse("before", CURSOR, "value_error", EventSequence::of_cursor);
        let limit = query.number("limit", 1, MAX_PAGE_SIZE).unwrap_or(DEFAULT_PAGE_SIZE);
        let own = self.own_endpoint(event, Operation::ReadEndpoints, id, query).await?;

        let before = before.unwrap_or(EventSequence::MAX);
        let EventList { events, has_more } =
            self.table().events_before(own.business_id, before, limit as i32).await?;
        let found = self.table().deliveries_of(own.business_id, own.endpoint_id, &events).await?;
        let wanted = found.iter().filter(|one| status.is_none_or(|status| one.status == status));

        let next = events.last().map_or(before, |event| event.sequence).to_string();
        let deliveries = wanted.map(DeliveryView::of).collect();
        Ok(api::json(StatusCode::OK, &DeliveryPage { deliveries, next, has_more })?)
    }

    /// `POST …/redeliver`.
    async fn redeliver(&self, event: &Request, id: &str) -> Result<Response<Body>, ApiError> {
        check_size(event)?;
        let query = Query::read(event, &[]);
        let own = self.own_endpoint(event, Operation::ManageEndpoints, id, query).await?;
        api::check_json(event.headers(), api::JSON)?;
        let wanted = request::redelivery(event.body()).map_err(Refusal::Invalid)?;
        let OwnEndpoint { business_id, endpoint_id, endpoint } = own;

        let now = self.authenticator.clock.now();
        let redeliverer = self.redeliverer(business_id, endpoint_id);
        let outcome = redeliverer.redeliver(&endpoint, &wanted, now).await?;
        let next = outcome.next.map(|next| next.to_string());
        let answer = RedeliveryAnswer { count: outcome.sent, next };
        Ok(api::json(StatusCode::ACCEPTED, &answer)?)
    }

    fn redeliverer(&self, business_id: BusinessId, endpoint_id: EndpointId) -> Redeliverer<'_> {
        Redeliverer { table: self.table(), bells: &self.bells, business_id, endpoint_id }
    }
}

fn check_size(event: &Request) -> Result<(), Refusal> {
    match event.body().len() > MAX_BODY_BYTES {
        true => Err(Refusal::BodyTooLarge { most: MAX_BODY_BYTES as u64 }),
        false => Ok(()),
    }
}

fn parse_status(text: &str) -> Option<DeliveryStatus> {
    match text {
        "pending" => Some(DeliveryStatus::Pending),
        "delivered" => Some(DeliveryStatus::Delivered),
        "failed" => Some(DeliveryStatus::Failed),
        _ => None,
    }
}
