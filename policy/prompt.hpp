// The prompt profile of the bundled models: what they are told in each of their tasks, and how their replies read. It is
// portfolio/training/chat.py, to the byte; a model that was trained on those prompts does its task well on no others. What they
// are told where a question is classified is a policy's (intent.hpp).
//
//   system      the task's prompt and, if there is one, the summary of what was said before
//   user        a question; to be answered from passages: the numbered passages, an empty line, "Question: ..."
//   assistant   an answer; earlier ones carry their citations resolved (citation.hpp)
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::policy {

struct Message {
  std::string role;  ///< "system", "user" or "assistant"
  std::string content;
  friend bool operator==(const Message&, const Message&) = default;
};

/// Tokens of a text that a remote model reads, rather too many than too few: tokenizers of the large models make four bytes of
/// English one token, and three of most other languages.
std::int32_t estimated_tokens(std::string_view text);
std::int64_t estimated_tokens(const std::vector<Message>& messages);

/// A question and its answer, with the answer's citations resolved.
struct Exchange {
  std::string question;
  std::string answer;
  friend bool operator==(const Exchange&, const Exchange&) = default;
};

struct PassageText {
  std::string name;  ///< "Records Policy §3.2"
  std::string text;
  friend bool operator==(const PassageText&, const PassageText&) = default;
};

/// `answer`: from numbered passages, with citations. `chat`: from the conversation so far.
enum class Task : std::uint8_t { answer, chat };
std::string_view to_string(Task task);
std::optional<Task> task_of(std::string_view name);

struct ContextParts {
  Task task = Task::answer;
  std::string summary;                ///< empty: none
  std::vector<Exchange> recent;       ///< oldest first
  std::vector<PassageText> passages;  ///< the best first, numbered from 1; read only by `answer`
  std::string question;
  std::string instruction = {};  ///< read only where a question is classified: what the model is told (policy/intent.hpp)
  friend bool operator==(const ContextParts&, const ContextParts&) = default;
};

std::vector<Message> messages_of(const ContextParts& parts);

/// A question is made to stand alone by what came at most so many exchanges before it.
inline constexpr std::size_t rewrite_exchanges_max = 3;
/// Asks for the question as it would stand alone, for a search; the reply, trimmed, is that question.
std::vector<Message> rewrite_messages(std::span<const Exchange> recent, std::string_view question);

/// Asks for a summary of the one before (empty: none) and the exchanges since; `summary_of` reads the reply, which is empty if
/// nothing was worth keeping.
std::vector<Message> summary_messages(std::string_view summary, std::span<const Exchange> exchanges);
std::string summary_of(std::string_view reply);

/// Without white space (of ASCII) at either end.
std::string_view trimmed(std::string_view text);

}  // namespace troupe::policy
