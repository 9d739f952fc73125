// Anthropic's messages: https://docs.anthropic.com/en/api/messages and its streaming.
#include "remote/protocol_json.hpp"

namespace troupe::remote {

namespace {

class AnthropicReader final : public ReplyReader {
 public:
  Result<void> read_event(const ServerEvent& event) override {
    if (reply.complete) return {};
    TROUPE_TRY(const Json json, model::parse_json(event.data, answer_name, EventParser::event_bytes_max));
    TROUPE_TRY(const auto object, model::JsonObject::of(json, answer_name));
    TROUPE_TRY(const auto type, object.string("type"));
    if (type == "error") return read_error(object);
    if (type == "message_start") {
      TROUPE_TRY(const auto message, object.object("message"));
      return read_usage(message);
    }
    if (type == "content_block_start") return start_block(object);
    if (type == "content_block_delta") return read_delta(object);
    if (type == "message_delta") {
      TROUPE_TRY_DO(read_usage(object));
      TROUPE_TRY(const auto delta, object.object("delta"));
      return read_stop(delta);
    }
    if (type == "message_stop") {
      if (reply.finish_reason.empty()) return Error{ErrorCode::corrupt, "the endpoint's answer ends without a stop_reason"};
      reply.complete = true;
    }
    return {};  // "ping", "content_block_stop", and what may be added
  }

  Result<void> read_whole(std::string_view body) override {
    TROUPE_TRY(const Json json, model::parse_json(body, answer_name, whole_bytes_max));
    TROUPE_TRY(const auto object, model::JsonObject::of(json, answer_name));
    TROUPE_TRY(const auto type, object.string("type"));
    if (type == "error") return read_error(object);
    TROUPE_TRY_DO(read_usage(object));
    TROUPE_TRY(const Json* blocks, object.array("content", list_max));
    for (const Json& each : *blocks) {
      TROUPE_TRY(const auto block, model::JsonObject::of(each, answer_name, "content"));
      TROUPE_TRY(const auto kind, block.string("type"));
      if (kind != "text") continue;
      TROUPE_TRY_DO(add(block.string("text", piece_bytes_max)));
    }
    TROUPE_TRY_DO(read_stop(object));
    if (reply.finish_reason.empty()) return Error{ErrorCode::corrupt, "the endpoint's answer has no stop_reason"};
    reply.complete = true;
    return {};
  }

 private:
  Result<void> add(Result<std::string_view> text) {
    if (!text) return text.error();
    if (!text->empty()) reply.pieces.push_back({std::string(*text), std::nullopt});
    return {};
  }

  Result<void> start_block(const model::JsonObject& object) {
    TROUPE_TRY(const auto block, object.object("content_block"));
    TROUPE_TRY(const auto kind, block.string("type"));
    if (kind != "text") return {};
    return add(block.string_or("text", "", piece_bytes_max));
  }

  Result<void> read_delta(const model::JsonObject& object) {
    TROUPE_TRY(const auto delta, object.object("delta"));
    TROUPE_TRY(const auto kind, delta.string("type"));
    if (kind != "text_delta") return {};  // thinking, and what may be added
    return add(delta.string("text", piece_bytes_max));
  }

  Result<void> read_usage(const model::JsonObject& object) {
    if (!object.has("usage")) return {};
    TROUPE_TRY(const auto usage, object.object("usage"));
    std::int32_t read = 0;
    std::int32_t written = 0;
    std::int32_t cached = 0;
    read_count(usage, "input_tokens", read);
    read_count(usage, "cache_creation_input_tokens", written);
    read_count(usage, "cache_read_input_tokens", cached);
    const std::int64_t all = std::int64_t{read} + written + cached;
    if (all > 0) reply.prompt_tokens = static_cast<std::int32_t>(std::min<std::int64_t>(all, tokens_limit));
    read_count(usage, "output_tokens", reply.answer_tokens);
    return {};
  }

  Result<void> read_stop(const model::JsonObject& object) {
    TROUPE_TRY(const auto reason, object.string_or("stop_reason", ""));
    if (reason.empty()) return {};
    if (reason == "end_turn") {
      reply.finish_reason = "end_token";
    } else if (reason == "stop_sequence") {
      reply.finish_reason = "stop_string";
    } else if (reason == "max_tokens" || reason == "model_context_window_exceeded") {
      reply.finish_reason = "length";
    } else {
      return Error{ErrorCode::unsupported, "the endpoint ended the answer with " + plain_text(reason)};
    }
    return {};
  }

  static Result<void> read_error(const model::JsonObject& object) {
    const auto error = object.object("error");
    if (!error) return reported("", "");
    const auto kind = error->string_or("type", "");
    const auto message = error->string_or("message", "", piece_bytes_max);
    return reported(kind ? plain_text(*kind) : "", message ? plain_text(*message) : "");
  }

  static constexpr std::int64_t tokens_limit = std::numeric_limits<std::int32_t>::max();
};

}  // namespace

std::unique_ptr<ReplyReader> anthropic_reader() { return std::make_unique<AnthropicReader>(); }

std::string anthropic_body(const policy::Endpoint& endpoint, const RemoteQuestion& question) {
  Json body{{"model", endpoint.model}, {"max_tokens", question.tokens_max}, {"stream", endpoint.stream}};
  std::string system;
  body["messages"] = Json::array();
  for (const policy::Message& message : question.messages) {
    if (message.role == "system") {
      system += (system.empty() ? "" : "\n\n") + message.content;
    } else {
      body["messages"].push_back({{"role", message.role}, {"content", message.content}});
    }
  }
  if (!system.empty()) body["system"] = system;
  constexpr float temperature_max = 1;  // of this protocol
  body["temperature"] = std::min(question.sampling.temperature, temperature_max);
  if (question.sampling.top_p < 1) body["top_p"] = question.sampling.top_p;
  if (question.sampling.top_k > 0) body["top_k"] = question.sampling.top_k;
  return dumped(body);
}

}  // namespace troupe::remote
