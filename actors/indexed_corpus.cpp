#include "actors/indexed_corpus.hpp"

#include <algorithm>
#include <utility>

#include "policy/instructions.hpp"

namespace troupe::actors {

namespace {

storage::Corpus without_instructions(storage::Corpus corpus, std::vector<IndexedCorpus::LeftOut>& left_out,
                                     std::map<std::size_t, std::string>& originals) {
  for (std::size_t i = 0; i < corpus.sections.size(); ++i) {
    storage::Section& section = corpus.sections[i];
    policy::PlainText plain = policy::without_instructions(section.text);
    if (plain.left_out.empty()) continue;
    originals.emplace(i, std::exchange(section.text, std::move(plain.text)));
    for (std::string& sentence : plain.left_out) left_out.push_back({section.key, std::move(sentence)});
  }
  return corpus;
}

}  // namespace

IndexedCorpus::IndexedCorpus(storage::CataloguedCorpus all, FindSections find_sections)
    : documents(std::move(all.documents)),
      corpus(without_instructions(std::move(all.corpus), left_out, originals)),
      index(corpus.sections),
      find(std::move(find_sections)) {
  for (std::size_t i = 0; i < corpus.sections.size(); ++i) places.emplace(corpus.sections[i].key, i);
}

IndexedCorpus::IndexedCorpus(storage::Corpus all, FindSections find_sections)
    : IndexedCorpus(storage::catalogued_by_keys(std::move(all)), std::move(find_sections)) {}

storage::CataloguedCorpus IndexedCorpus::whole() const {
  storage::CataloguedCorpus all{corpus, documents};
  for (const auto& [place, text] : originals) all.corpus.sections[place].text = text;
  return all;
}

policy::DocumentPage IndexedCorpus::page(std::size_t from, std::size_t limit) const {
  policy::DocumentPage page;
  page.version = corpus.version;
  const std::size_t begin = std::min(from, documents.size());
  const std::size_t end = begin + std::min({limit, documents.size() - begin, std::size_t{policy::DocumentPage::documents_max}});
  page.documents.assign(documents.begin() + static_cast<std::ptrdiff_t>(begin),
                        documents.begin() + static_cast<std::ptrdiff_t>(end));
  page.more = end < documents.size();
  return page;
}

policy::SearchHits IndexedCorpus::search(std::string_view question, std::size_t limit) const {
  const auto found = index.search(question, limit);
  policy::SearchHits hits;
  hits.evidence = found.evidence;
  for (const storage::FoundSection& each : found.sections) {
    hits.hits.push_back({corpus.sections[each.section], each.via ? corpus.sections[*each.via].key : std::string()});
  }
  return hits;
}

std::string corpus_version_of(const NodeContext& context) {
  const auto corpus = context.corpus.load();
  return corpus ? corpus->corpus.version : std::string();
}

void log_left_out(const Log& log, const IndexedCorpus& corpus) {
  constexpr std::size_t logged_max = 16;
  for (std::size_t i = 0; i < std::min(corpus.left_out.size(), logged_max); ++i) {
    const IndexedCorpus::LeftOut& left_out = corpus.left_out[i];
    log(LogLevel::warning, "a sentence of the corpus speaks to models and is not shown to them",
        {{"section", left_out.section}, {"sentence", left_out.sentence.substr(0, 200)}});
  }
  if (corpus.left_out.size() > logged_max) {
    log(LogLevel::warning, "and more such sentences", {{"sentences", std::to_string(corpus.left_out.size())}});
  }
}

}  // namespace troupe::actors
