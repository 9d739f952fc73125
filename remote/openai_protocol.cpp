// OpenAI's chat completions: https://platform.openai.com/docs/api-reference/chat, as many other hosts speak them too.
#include <optional>
#include <utility>

#include "remote/protocol_json.hpp"

namespace troupe::remote {

namespace {

class OpenaiReader final : public ReplyReader {
 public:
  explicit OpenaiReader(bool log_probabilities) : log_probabilities_(log_probabilities) {}

  Result<void> read_event(const ServerEvent& event) override {
    if (reply.complete) return {};
    if (event.data == "[DONE]") {
      if (reply.finish_reason.empty()) return Error{ErrorCode::corrupt, "the endpoint's answer ends without a finish_reason"};
      reply.complete = true;
      return {};
    }
    TROUPE_TRY(const Json json, model::parse_json(event.data, answer_name, EventParser::event_bytes_max));
    TROUPE_TRY(const auto chunk, model::JsonObject::of(json, answer_name));
    return read(chunk, "delta");
  }

  Result<void> read_whole(std::string_view body) override {
    TROUPE_TRY(const Json json, model::parse_json(body, answer_name, whole_bytes_max));
    TROUPE_TRY(const auto object, model::JsonObject::of(json, answer_name));
    TROUPE_TRY_DO(read(object, "message"));
    if (reply.finish_reason.empty()) return Error{ErrorCode::corrupt, "the endpoint's answer has no finish_reason"};
    reply.complete = true;
    return {};
  }

 private:
  Result<void> read(const model::JsonObject& object, std::string_view message) {
    if (object.has("error")) return read_error(object);
    if (object.has("usage")) {
      TROUPE_TRY(const auto usage, object.object("usage"));
      read_count(usage, "prompt_tokens", reply.prompt_tokens);
      read_count(usage, "completion_tokens", reply.answer_tokens);
    }
    TROUPE_TRY(const Json* choices, object.array("choices", list_max));
    if (choices->empty()) return {};  // as the last chunk, which has the usage
    TROUPE_TRY(const auto choice, model::JsonObject::of(choices->front(), answer_name, "choices[0]"));
    if (choice.has(message)) {
      TROUPE_TRY(const auto said, choice.object(message));
      TROUPE_TRY_DO(read_text(choice, said));
    }
    TROUPE_TRY(const auto reason, choice.string_or("finish_reason", ""));
    return finish(reason);
  }

  Result<void> read_text(const model::JsonObject& choice, const model::JsonObject& said) {
    if (said.has("refusal")) {
      TROUPE_TRY(const auto refusal, said.string("refusal", piece_bytes_max));
      if (!refusal.empty()) return Error{ErrorCode::unsupported, "the model refuses: " + plain_text(refusal)};
    }
    TROUPE_TRY(const auto text, said.string_or("content", "", piece_bytes_max));
    std::optional<double> probability;
    if (log_probabilities_ && choice.has("logprobs")) {
      TROUPE_TRY(probability, log_probability_of(choice));
    }
    // A token may be a part of a character, or held back by the endpoint: its text comes with a later one.
    if (text.empty()) {
      of_no_text_ += probability.value_or(0);
      return {};
    }
    if (probability) *probability += std::exchange(of_no_text_, 0);
    reply.pieces.push_back({std::string(text), probability});
    return {};
  }

  static Result<std::optional<double>> log_probability_of(const model::JsonObject& choice) {
    TROUPE_TRY(const auto list, choice.object("logprobs"));
    if (!list.has("content")) return std::nullopt;
    constexpr std::size_t tokens_max = std::size_t{1} << 16;
    constexpr double least = -1e9;
    TROUPE_TRY(const Json* tokens, list.array("content", tokens_max));
    double sum = 0;
    for (const Json& each : *tokens) {
      TROUPE_TRY(const auto token, model::JsonObject::of(each, answer_name, "logprobs.content"));
      TROUPE_TRY(const double one, token.number("logprob", least, 0.001));
      sum += std::min(one, 0.0);
    }
    return sum;
  }

  Result<void> finish(std::string_view reason) {
    if (reason.empty()) return {};
    if (reason == "stop") {
      reply.finish_reason = "end_token";
    } else if (reason == "length") {
      reply.finish_reason = "length";
    } else {
      return Error{ErrorCode::unsupported, "the endpoint ended the answer with " + plain_text(reason)};
    }
    return {};
  }

  static Result<void> read_error(const model::JsonObject& object) {
    const auto error = object.object("error");
    if (!error) return reported("", model::describe(*object.find("error")));
    const auto kind = error->string_or("type", "");
    const auto message = error->string_or("message", "", piece_bytes_max);
    return reported(kind ? plain_text(*kind) : "", message ? plain_text(*message) : "");
  }

  bool log_probabilities_;
  double of_no_text_ = 0;  ///< log-probabilities of tokens since the last piece
};

}  // namespace

std::unique_ptr<ReplyReader> openai_reader(bool log_probabilities) { return std::make_unique<OpenaiReader>(log_probabilities); }

std::string openai_body(const policy::Endpoint& endpoint, const RemoteQuestion& question) {
  Json body{{"model", endpoint.model}, {"max_tokens", question.tokens_max}, {"stream", endpoint.stream}};
  body["messages"] = Json::array();
  for (const policy::Message& message : question.messages)
    body["messages"].push_back({{"role", message.role}, {"content", message.content}});
  // Greedy is as near to a repeatable answer as the protocol comes; the seed is a hint.
  body["temperature"] = question.sampling.temperature;
  if (question.sampling.top_p < 1) body["top_p"] = question.sampling.top_p;
  body["seed"] = question.seed & 0x7fffffffU;
  if (endpoint.stream) body["stream_options"] = {{"include_usage", true}};
  if (endpoint.log_probabilities) body["logprobs"] = true;
  return dumped(body);
}

}  // namespace troupe::remote
