#include "policy/prompt.hpp"

#include <algorithm>
#include <numeric>

namespace troupe::policy {

namespace {

constexpr std::string_view answer_prompt = "You answer from the numbered sources and cite them.";
constexpr std::string_view chat_prompt = "You are a handbook assistant. You answer from the conversation so far.";
constexpr std::string_view summarize_prompt = "You summarize the conversation and keep every fact.";
constexpr std::string_view rewrite_prompt = "You rewrite the last question so that it stands alone.";
constexpr std::string_view nothing_to_keep = "Nothing to keep.";

Message system(std::string_view prompt) { return {"system", std::string(prompt)}; }
Message user(std::string content) { return {"user", std::move(content)}; }

std::string numbered(std::span<const PassageText> passages) {
  std::string text;
  for (std::size_t i = 0; i < passages.size(); ++i) {
    if (i > 0) text += '\n';
    text += "[" + std::to_string(i + 1) + "] " + passages[i].name + ": " + passages[i].text;
  }
  return text;
}

std::string with_passages(std::span<const PassageText> passages, const std::string& question) {
  return passages.empty() ? "Question: " + question : numbered(passages) + "\n\nQuestion: " + question;
}

std::string transcript(std::span<const Exchange> exchanges) {
  std::string text;
  for (const Exchange& exchange : exchanges) {
    if (!text.empty()) text += '\n';
    text += "User: " + exchange.question + "\nAssistant: " + exchange.answer;
  }
  return text;
}

}  // namespace

std::int32_t estimated_tokens(std::string_view text) {
  constexpr std::size_t bytes_of_a_token = 3;
  constexpr std::size_t around = 8;  // what the protocol puts around a part
  return static_cast<std::int32_t>(std::min(text.size(), std::size_t{1} << 30) / bytes_of_a_token + around);
}

std::int64_t estimated_tokens(const std::vector<Message>& messages) {
  return std::accumulate(messages.begin(), messages.end(), std::int64_t{0},
                         [](std::int64_t sum, const Message& each) { return sum + estimated_tokens(each.content); });
}

std::string_view to_string(Task task) {
  switch (task) {
    case Task::answer: return "answer";
    case Task::chat: return "chat";
  }
  return "unknown";
}

std::optional<Task> task_of(std::string_view name) {
  for (const Task task : {Task::answer, Task::chat}) {
    if (to_string(task) == name) return task;
  }
  return std::nullopt;
}

std::vector<Message> messages_of(const ContextParts& parts) {
  std::vector<Message> messages{system(parts.task == Task::answer ? answer_prompt : chat_prompt)};
  if (!parts.summary.empty()) messages.front().content += "\n\nSummary so far:\n" + parts.summary;
  for (const Exchange& exchange : parts.recent) {
    messages.push_back(user(exchange.question));
    messages.push_back({"assistant", exchange.answer});
  }
  messages.push_back(user(parts.task == Task::answer ? with_passages(parts.passages, parts.question) : parts.question));
  return messages;
}

std::vector<Message> rewrite_messages(std::span<const Exchange> recent, std::string_view question) {
  if (recent.size() > rewrite_exchanges_max) recent = recent.last(rewrite_exchanges_max);
  std::string text = transcript(recent);
  if (!text.empty()) text += '\n';
  return {system(rewrite_prompt), user(text + "User: " + std::string(question))};
}

std::vector<Message> summary_messages(std::string_view summary, std::span<const Exchange> exchanges) {
  const std::string before = summary.empty() ? "" : "Summary so far:\n" + std::string(summary) + "\n\n";
  return {system(summarize_prompt), user(before + "New turns:\n" + transcript(exchanges))};
}

std::string summary_of(std::string_view reply) {
  const std::string_view summary = trimmed(reply);
  return summary == nothing_to_keep ? std::string() : std::string(summary);
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view white = " \t\n\r\v\f";
  const std::size_t begin = text.find_first_not_of(white);
  return begin == std::string_view::npos ? std::string_view() : text.substr(begin, text.find_last_not_of(white) + 1 - begin);
}

}  // namespace troupe::policy
