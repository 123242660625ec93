/**
 * What a TypeScript or JavaScript program that embeds the gateway may use; everything else is internal.
 *
 * @packageDocumentation
 */

export type { ErrorCode, LuaCode } from './base/error-codes.ts';
export { GatewayError, type GatewayErrorOptions } from './base/errors.ts';
export { LOG_LEVELS, type LogFields, type Logger, type LogLevel } from './base/logger.ts';
export type { SharedSize } from './base/shared-size.ts';
export type { Purge } from './cache/purge-answers.ts';
export type { ListenAddress } from './config/config.ts';
export type {
  CommonOptions,
  FolderMapping,
  GatewayChanges,
  GatewayMapping,
  GatewayOptions,
  ModuleMapping,
  ProxyMapping,
  ScriptMapping,
} from './embed/gateway-options.ts';
export {
  createServer,
  type HandlerSource,
  Server,
  type ServerChanges,
  type ServerHandle,
  type ServerOptions,
} from './embed/server.ts';
export { type Gateway, startGateway } from './embed/start-gateway.ts';
export type { EventMessage, EventSubscription } from './events/event-subscription.ts';
export type { SubscriptionOptions } from './events/text-events.ts';
export type { ConnectionInfo, Protocol } from './http/exchange/exchange.ts';
export type {
  HandlerProxyOptions,
  ProxyOptions,
  ProxyTargetOption,
  ProxyTargets,
  ServerChoice,
} from './mapping/proxy-options.ts';
export type {
  BalanceSettings,
  ForwardedForm,
  HealthSettings,
  ProxyTimeouts,
  UpstreamTls,
} from './mapping/proxy-settings.ts';
export { SCRIPT_MODES, type ScriptMode } from './mapping/script-mode.ts';
export type { ScriptRights } from './mapping/script-rights.ts';
export { MAPPING_COUNTER_NAMES, type MappingCounterName } from './metrics/mapping-metrics.ts';
export { COUNTER_NAMES, type CounterName } from './metrics/worker-metrics.ts';
export type { UpstreamView } from './proxy/upstreams/upstream-view.ts';
export { type CompressionSettings, DEFAULT_COMPRESSION } from './settings/compression.ts';
export { DEFAULT_LIMITS, type Limits } from './settings/limits.ts';
export { RestartNeededError, type SettingChange } from './settings/restart-needed-error.ts';
export type { SharedValue } from './shared/plain-values.ts';
export type { IncrementStart, SharedDictionary } from './shared/shared-dictionary.ts';
export type { BoundAddress } from './supervisor/listeners.ts';
export type { MappingUse } from './supervisor/mapping-uses.ts';
export type { AsyncDictionary, DictionaryOptions } from './web/async-dictionary.ts';
export type { CachedOptions } from './web/cached-answer.ts';
export { type CookieOptions, makeCookie, readCookies } from './web/cookies.ts';
export {
  type EventGenerator,
  type EventStreamOptions,
  eventStream,
  type ServerEvent,
} from './web/event-stream.ts';
export type {
  HandlerWebSocket,
  WebSocketClosing,
  WebSocketHandler,
  WebSocketMessage,
  WebSocketUpgradeOptions,
} from './web/handler-websocket.ts';
export { Method, Reason, Version } from './web/http-words.ts';
export { type FormPart, type MultipartOptions, multipart } from './web/multipart.ts';
export { type BuilderBody, ResponseBuilder } from './web/response-builder.ts';
export type {
  Answer,
  ErrorHandler,
  FallbackHandler,
  Middleware,
  Next,
  ParamNames,
  Params,
  RouteHandler,
} from './web/route-types.ts';
export { Router, type RouterOptions } from './web/router.ts';
export { type ServeFilesOptions, serveFiles } from './web/serve-files.ts';
export { testContext } from './web/test-context.ts';
export type { HandlerContext, RequestState, WebHandler, WebService } from './web/web-handler.ts';
