//! What is kept of routes of the Gateway API: one view for every kind whose weights can be set.
//!
//! Rules stay raw, because only weights of one of them are ever touched; the kinds differ in name alone.

use std::borrow::Cow;
use std::fmt::Debug;
use std::marker::PhantomData;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::Deserialize;
use serde_json::Value;

use super::views::{ConditionView, or_default};
use crate::api::RouteKind;

/// A kind of route, as a type.
pub trait Sort: Debug + Clone + Send + Sync + 'static {
    /// The kind.
    const KIND: RouteKind;
    /// Its resource in paths.
    const PLURAL: &'static str;
}

/// HTTPRoute.
#[derive(Debug, Clone)]
pub struct Http;

impl Sort for Http {
    const KIND: RouteKind = RouteKind::HTTPRoute;
    const PLURAL: &'static str = "httproutes";
}

/// GRPCRoute.
#[derive(Debug, Clone)]
pub struct Grpc;

impl Sort for Grpc {
    const KIND: RouteKind = RouteKind::GRPCRoute;
    const PLURAL: &'static str = "grpcroutes";
}

/// An HTTPRoute.
pub type HttpRouteView = RouteView<Http>;
/// A GRPCRoute.
pub type GrpcRouteView = RouteView<Grpc>;

/// A route.
#[derive(Debug, Clone, Deserialize)]
#[serde(bound = "")]
pub struct RouteView<S> {
    /// Name, labels, owner, versions.
    pub metadata: ObjectMeta,
    /// What is wanted.
    #[serde(default)]
    pub spec: RouteSpecView,
    /// What is.
    #[serde(default)]
    pub status: RouteStatusView,
    #[serde(skip)]
    sort: PhantomData<S>,
}

/// What is wanted of a route.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct RouteSpecView {
    /// Its rules.
    #[serde(default, deserialize_with = "or_default")]
    pub rules: Vec<Value>,
}

/// What is, of a route.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct RouteStatusView {
    /// What each gateway says.
    #[serde(default, deserialize_with = "or_default")]
    pub parents: Vec<RouteParentView>,
}

/// What a gateway says of a route.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RouteParentView {
    /// The controller of the gateway.
    pub controller_name: String,
    /// What it says.
    #[serde(default, deserialize_with = "or_default")]
    pub conditions: Vec<ConditionView>,
}

impl<S: Sort> Resource for RouteView<S> {
    type DynamicType = ();
    type Scope = kube::core::NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        S::KIND.word().into()
    }

    fn group((): &()) -> Cow<'_, str> {
        "gateway.networking.k8s.io".into()
    }

    fn version((): &()) -> Cow<'_, str> {
        "v1".into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        S::PLURAL.into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}
