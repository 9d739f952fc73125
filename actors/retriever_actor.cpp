#include "actors/retriever_actor.hpp"

#include <algorithm>
#include <utility>

namespace troupe::actors {

RetrieverActor::behavior_type RetrieverState::start(std::shared_ptr<const IndexedCorpus> corpus) {
  corpus_ = std::move(corpus);
  install_defaults(self_);
  return {
      [this](const SearchQuery& query) {
        SearchResult result;
        result.corpus_version = corpus_->corpus.version;
        const auto limit = static_cast<std::size_t>(std::max(query.passages_max, 0));
        for (const storage::Bm25::Hit& hit : corpus_->index.search(query.text, limit)) {
          const storage::Section& section = corpus_->corpus.sections[hit.section];
          result.passages.push_back({{section.key, section.name}, section.text});
        }
        return result;
      },
  };
}

RetrieverActor::behavior_type retriever_actor(RetrieverActor::stateful_pointer<RetrieverState> self,
                                              std::shared_ptr<const IndexedCorpus> corpus) {
  return self->state.start(std::move(corpus));
}

}  // namespace troupe::actors
