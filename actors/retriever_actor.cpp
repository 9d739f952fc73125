#include "actors/retriever_actor.hpp"

#include <algorithm>
#include <utility>

#include "policy/instructions.hpp"

namespace troupe::actors {

namespace {

storage::Corpus without_instructions(storage::Corpus corpus, std::vector<IndexedCorpus::LeftOut>& left_out) {
  for (storage::Section& section : corpus.sections) {
    policy::PlainText plain = policy::without_instructions(section.text);
    if (plain.left_out.empty()) continue;
    section.text = std::move(plain.text);
    for (std::string& sentence : plain.left_out) left_out.push_back({section.key, std::move(sentence)});
  }
  return corpus;
}

}  // namespace

IndexedCorpus::IndexedCorpus(storage::Corpus all, FindSections find_sections)
    : corpus(without_instructions(std::move(all), left_out)), index(corpus.sections), find(std::move(find_sections)) {
  for (std::size_t i = 0; i < corpus.sections.size(); ++i) places.emplace(corpus.sections[i].key, i);
}

RetrieverActor::behavior_type RetrieverState::start(std::shared_ptr<const IndexedCorpus> corpus) {
  corpus_ = std::move(corpus);
  install_defaults(self_);
  return {
      [this](const SearchQuery& query) { return corpus_->find ? given(query) : search(query); },
      [this](const SourceQuery& query) { return sources(query); },
  };
}

SearchResult RetrieverState::search(const SearchQuery& query) const {
  const auto found = corpus_->index.search(query.text, static_cast<std::size_t>(std::max(query.passages_max, 0)));
  SearchResult result;
  result.corpus_version = corpus_->corpus.version;
  if (!found.sections.empty()) result.confidence = policy::retrieval_confidence(found.evidence);
  for (const storage::FoundSection& each : found.sections) {
    const storage::Section& section = corpus_->corpus.sections[each.section];
    if (section.text.empty()) continue;  // all that it said was to models
    result.passages.push_back({{section.key, section.name}, section.text});
  }
  return result;
}

SearchResult RetrieverState::given(const SearchQuery& query) const {
  SearchResult result;
  result.corpus_version = corpus_->corpus.version;
  for (const std::string& key : corpus_->find(query.text)) {
    const auto place = corpus_->places.find(key);
    if (place == corpus_->places.end() || std::ssize(result.passages) >= query.passages_max) continue;
    const storage::Section& section = corpus_->corpus.sections[place->second];
    if (section.text.empty()) continue;
    result.passages.push_back({{section.key, section.name}, section.text});
  }
  return result;
}

SourceTexts RetrieverState::sources(const SourceQuery& query) const {
  SourceTexts result;
  for (const std::string& key : query.sections) {
    const auto place = corpus_->places.find(key);
    result.texts.push_back(place == corpus_->places.end() ? std::string() : corpus_->corpus.sections[place->second].text);
  }
  return result;
}

RetrieverActor::behavior_type retriever_actor(RetrieverActor::stateful_pointer<RetrieverState> self,
                                              std::shared_ptr<const IndexedCorpus> corpus) {
  return self->state.start(std::move(corpus));
}

}  // namespace troupe::actors
