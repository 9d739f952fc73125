#include "actors/retriever_actor.hpp"

#include <algorithm>
#include <utility>

namespace troupe::actors {

namespace {

void add_passage(const IndexedCorpus& corpus, std::size_t place, SearchResult& result) {
  const storage::Section& section = corpus.corpus.sections[place];
  if (section.text.empty()) return;  // all that it said was to models
  result.passages.push_back({{section.key, section.name}, section.text});
}

/// What was said to belong to the question.
void add_given(const IndexedCorpus& corpus, const SearchQuery& query, SearchResult& result) {
  for (const std::string& key : corpus.find(query.text)) {
    const auto place = corpus.places.find(key);
    if (place == corpus.places.end() || std::ssize(result.passages) >= query.passages_max) continue;
    add_passage(corpus, place->second, result);
  }
}

}  // namespace

RetrieverActor::behavior_type RetrieverState::start(NodeContextPtr context) {
  context_ = std::move(context);
  install_defaults(self_);
  return {
      [this](const SearchQuery& query) { return search(query); },
      [this](const SourceQuery& query) { return sources(query); },
      [this](const FrontSearchCorpus& search) {
        const auto corpus = context_->corpus.load();
        search.reply(corpus ? corpus->search(search.question, search.limit) : policy::SearchHits{});
      },
  };
}

SearchResult RetrieverState::search(const SearchQuery& query) const {
  SearchResult result;
  const auto corpus = context_->corpus.load();
  if (!corpus) return result;
  result.corpus_version = corpus->corpus.version;
  if (corpus->find) {
    add_given(*corpus, query, result);
    return result;
  }
  const auto found = corpus->index.search(query.text, static_cast<std::size_t>(std::max(query.passages_max, 0)));
  if (!found.sections.empty()) result.confidence = policy::retrieval_confidence(found.evidence);
  for (const storage::FoundSection& each : found.sections) add_passage(*corpus, each.section, result);
  return result;
}

SourceTexts RetrieverState::sources(const SourceQuery& query) const {
  SourceTexts result;
  const auto corpus = context_->corpus.load();
  for (const std::string& key : query.sections) {
    std::string& text = result.texts.emplace_back();
    if (!corpus) continue;
    const auto place = corpus->places.find(key);
    if (place != corpus->places.end()) text = corpus->corpus.sections[place->second].text;
  }
  return result;
}

RetrieverActor::behavior_type retriever_actor(RetrieverActor::stateful_pointer<RetrieverState> self, NodeContextPtr context) {
  return self->state.start(std::move(context));
}

}  // namespace troupe::actors
