#include "cli/decision_log.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "bench/json_rows.hpp"
#include "model/file.hpp"

namespace troupe::cli {

namespace {

/// Reads the fields of one object; the first that is not what it should be is kept as the error.
class Fields {
 public:
  Fields(const Json& object, std::string path, std::optional<Error>& error)
      : object_(object), path_(std::move(path)), error_(error) {
    if (!object.is_object()) wrong("", "an object", object);
  }

  template <class T>
  void number(const char* key, T& value) {
    each(key, "a number", [&](const Json& field) {
      if (!field.is_number()) return false;
      value = field.get<T>();
      return true;
    });
  }
  /// Nothing if it is negative.
  void share(const char* key, std::optional<double>& value) {
    double share = -1;
    number(key, share);
    if (share >= 0) value = share;
  }
  void flag(const char* key, bool& value) {
    each(key, "true or false", [&](const Json& field) {
      if (field.is_boolean()) value = field.get<bool>();
      return field.is_boolean();
    });
  }
  void text(const char* key, std::string& value) {
    each(key, "a string", [&](const Json& field) {
      if (field.is_string()) value = field.get<std::string>();
      return field.is_string();
    });
  }
  /// A word that `value_of` knows.
  template <class T, class ValueOf>
  void word(const char* key, T& value, const ValueOf& value_of) {
    each(key, "a known word", [&](const Json& field) {
      const auto found = field.is_string() ? value_of(field.get<std::string>()) : std::nullopt;
      if (found) value = *found;
      return found.has_value();
    });
  }
  /// For what every decision has.
  void require(const char* key) {
    if (!object_.is_object() || error_) return;
    const auto found = object_.find(key);
    if (found != object_.end() && !found->is_null()) return;
    error_ = Error{ErrorCode::corrupt,
                   path_ + key + " is not there, expected a decision as \"troupe policy log\" writes it, one a line"};
  }
  /// `visit(fields)` for an object.
  template <class Visit>
  void object(const char* key, const Visit& visit) {
    each(key, "an object", [&](const Json& field) {
      if (!field.is_object()) return false;
      Fields inside(field, path_ + key + ".", error_);
      visit(inside);
      return true;
    });
  }
  /// `visit(fields)` for each object of a list.
  template <class Visit>
  void objects(const char* key, std::size_t count_max, const Visit& visit) {
    each(key, "a list of at most " + std::to_string(count_max) + " objects", [&](const Json& field) {
      if (!field.is_array() || field.size() > count_max) return false;
      for (std::size_t i = 0; i < field.size(); ++i) {
        if (!field[i].is_object()) return false;
        Fields inside(field[i], path_ + key + "[" + std::to_string(i) + "].", error_);
        visit(inside);
      }
      return true;
    });
  }

 private:
  /// A field that is null is not there.
  template <class Take>
  void each(const char* key, const std::string& expected, const Take& take) {
    if (!object_.is_object()) return;
    const auto found = object_.find(key);
    if (found == object_.end() || found->is_null()) return;
    if (!take(*found)) wrong(key, expected, *found);
  }
  void wrong(const std::string& key, const std::string& expected, const Json& seen) {
    constexpr std::size_t shown_max = 60;
    if (!error_) {
      error_ = Error{ErrorCode::corrupt, path_ + key + " is " + dumped(seen).substr(0, shown_max) + ", expected " + expected};
    }
  }

  const Json& object_;
  std::string path_;
  std::optional<Error>& error_;
};

void read_ask(Fields& fields, policy::Ask& ask) {
  fields.text("question", ask.question);
  fields.word("assurance", ask.assurance, policy::assurance_of);
  fields.word("priority", ask.priority, policy::priority_of);
  fields.word("grounding", ask.grounding, policy::grounding_of);
  fields.word("tier", ask.tier, policy::tier_of);
  fields.number("tokens_max", ask.tokens_max);
  fields.number("latency_budget_ms", ask.latency_budget_ms);
  fields.text("tenant", ask.tenant);
}

void read_plan(Fields& fields, policy::AttemptPlan& plan) {
  fields.number("attempt", plan.attempt);
  fields.word("tier", plan.tier, policy::tier_of);
  fields.text("why", plan.why);
  fields.text("rule", plan.rule);
  fields.number("tokens_max", plan.tokens_max);
  fields.flag("held_back", plan.held_back);
  fields.text("task", plan.task);
  fields.number("context_tokens", plan.context_tokens);
  constexpr std::size_t passages_max = 256;
  fields.objects("passages", passages_max, [&](Fields& each) {
    policy::Passage passage;
    each.text("section", passage.section);
    each.text("name", passage.name);
    plan.passages.push_back(std::move(passage));
  });
}

void read_result(Fields& fields, policy::AttemptResult& result) {
  constexpr std::size_t emissions_max = 8192;
  fields.text("finish_reason", result.finish_reason);
  fields.number("confidence", result.confidence);
  fields.number("prompt_tokens", result.prompt_tokens);
  fields.number("generated_tokens", result.generated_tokens);
  fields.number("spent", result.cost);
  fields.text("failed_check", result.failed_check);
  std::string text;
  fields.text("text", text);
  fields.objects("emissions", emissions_max, [&](Fields& each) {
    std::string piece;
    each.text("text", piece);
    text += piece;
  });
  if (!text.empty()) result.emissions.push_back({0, {}, {}, std::move(text)});
}

}  // namespace

Json decision_of(const policy::Turn& turn) {
  Json object = json_of(turn);
  for (std::size_t i = 0; i < turn.attempts.size(); ++i) {
    Json& attempt = object["attempts"][i];
    attempt["plan"].erase("prompt");
    attempt["plan"].erase("messages");
    if (!turn.attempts[i].result) continue;
    attempt["result"].erase("emissions");
    attempt["result"]["text"] = text_of(*turn.attempts[i].result);
  }
  return object;
}

Result<policy::Turn> turn_of(std::string_view line) {
  const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return Error{ErrorCode::corrupt, "this is not JSON"};
  constexpr std::size_t attempts_max = 64;
  policy::Turn turn;
  std::optional<Error> error;
  Fields fields(json, "", error);
  for (const char* key : {"turn", "ask", "attempts"}) fields.require(key);
  fields.word("turn", turn.id, policy::parse_turn);
  fields.text("kind", turn.kind);
  fields.text("kind_said", turn.kind_said);
  fields.share("kind_confidence", turn.kind_confidence);
  fields.share("retrieval_confidence", turn.retrieval_confidence);
  fields.object("ask", [&](Fields& ask) { read_ask(ask, turn.ask); });
  fields.objects("attempts", attempts_max, [&](Fields& each) {
    policy::Attempt attempt;
    each.require("plan");
    each.object("plan", [&](Fields& plan) { read_plan(plan, attempt.plan); });
    each.object("result", [&](Fields& result) { read_result(result, attempt.result.emplace()); });
    turn.attempts.push_back(std::move(attempt));
  });
  fields.object("outcome", [&](Fields& outcome) {
    turn.outcome.emplace();
    outcome.flag("committed", turn.outcome->committed);
    outcome.flag("confident", turn.outcome->confident);
    outcome.number("attempt", turn.outcome->attempt);
    outcome.text("rule", turn.outcome->rule);
  });
  if (error) return *error;
  return turn;
}

Result<std::vector<policy::Turn>> read_decisions(const std::string& file) {
  const bool piped = file == "-";
  TROUPE_TRY(const auto text, model::read_file(piped ? "/dev/stdin" : file, DecisionLogLimits::file_bytes_max));
  const std::string name = piped ? "standard input" : file;
  std::vector<policy::Turn> turns;
  TROUPE_TRY_DO(bench::each_line(text, [&](std::string_view line, int number) -> Result<void> {
    const std::string place = name + ":" + std::to_string(number);
    if (line.size() > DecisionLogLimits::line_bytes_max) {
      return Error{ErrorCode::too_large, place + ": a line of " + std::to_string(line.size()) + " bytes, expected at most " +
                                             std::to_string(DecisionLogLimits::line_bytes_max)};
    }
    auto turn = turn_of(line);
    if (!turn) return std::move(turn).error().within(place);
    turns.push_back(*std::move(turn));
    return {};
  }));
  return turns;
}

}  // namespace troupe::cli
