#include "policy/corpus_change.hpp"

#include <iterator>
#include <map>
#include <set>
#include <utility>

namespace troupe::policy {

namespace {

Result<void> check_document(const Document& document) {
  const auto invalid = [&](const std::string& what) {
    return Error{ErrorCode::invalid_argument, "document \"" + document.name + "\" " + what};
  };
  if (document.name.empty()) return Error{ErrorCode::invalid_argument, "a document has no name"};
  if (document.sections.empty()) return invalid("has no sections");
  for (const Section& section : document.sections) {
    if (!section.key.starts_with(document.name + "#")) return invalid("has section \"" + section.key + "\" of another one");
  }
  return {};
}

}  // namespace

Result<std::vector<Document>> changed(std::vector<Document> documents, CorpusChange change) {
  std::map<std::string, Document> by_name;
  for (Document& document : documents) {
    const auto [known, added] = by_name.try_emplace(document.name, std::move(document));
    if (added) continue;
    // It stood in two places of a corpus that was made of sections.
    std::move(document.sections.begin(), document.sections.end(), std::back_inserter(known->second.sections));
  }
  std::set<std::string> named;
  const auto once = [&](const std::string& name) -> Result<void> {
    if (named.insert(name).second) return {};
    return Error{ErrorCode::invalid_argument, "document \"" + name + "\" is named twice in one change; name it once"};
  };
  for (const std::string& name : change.removed) {
    TROUPE_TRY_DO(once(name));
    if (by_name.erase(name) == 0) {
      return Error{ErrorCode::not_found, "the corpus has no document \"" + name + "\"; troupe corpus list shows them"};
    }
  }
  for (Document& document : change.documents) {
    TROUPE_TRY_DO(once(document.name));
    TROUPE_TRY_DO(check_document(document));
    by_name.insert_or_assign(document.name, std::move(document));
  }
  std::vector<Document> result;
  result.reserve(by_name.size());
  for (auto& [name, document] : by_name) result.push_back(std::move(document));
  return result;
}

}  // namespace troupe::policy
