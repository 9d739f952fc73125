#include "actors/prompt_messages.hpp"

#include "policy/intent.hpp"

namespace troupe::actors {

std::vector<policy::Message> messages_for(schemas::Purpose purpose, const policy::ContextParts& parts) {
  switch (purpose) {
    case schemas::Purpose::answer:
    case schemas::Purpose::shadow: return policy::messages_of(parts);
    case schemas::Purpose::classify: return policy::classify_messages(parts.instruction, parts.question);
    case schemas::Purpose::rewrite: return policy::rewrite_messages(parts.recent, parts.question);
    case schemas::Purpose::summarize: return policy::summary_messages(parts.summary, parts.recent);
  }
  return {};
}

}  // namespace troupe::actors
