// A stored corpus as the documents that it is made of, so that some of them can be replaced and the others are not read again.
#pragma once

#include <vector>

#include "base/result.hpp"
#include "policy/corpus_change.hpp"
#include "storage/corpus.hpp"
#include "storage/documents.hpp"
#include "storage/store.hpp"

namespace troupe::storage {

/// A corpus, and which of its sections are of which document.
struct CataloguedCorpus {
  Corpus corpus;
  std::vector<policy::DocumentEntry> documents;  ///< in the order of the sections, which they have all of
  friend bool operator==(const CataloguedCorpus&, const CataloguedCorpus&) = default;
};

/// The documents of a corpus that has no catalogue, by the keys of its sections; without content hashes, so that they are like
/// no file's.
CataloguedCorpus catalogued_by_keys(Corpus corpus);
/// Whether a document may be in a corpus: names and texts are UTF-8, and of one line, keys are there once (`invalid_argument`);
/// all within the limits of a corpus (`too_large`). Whether it has any sections is not asked.
Result<void> check_document(const Document& document);

/// Errors of `make_corpus`.
Result<CataloguedCorpus> catalogued(std::vector<Document> documents);
std::vector<Document> documents_of(CataloguedCorpus catalogued);

/// The store's corpus, by its catalogue, or by its keys if it was stored without one; nothing if none was put. `corrupt` if
/// what is there contradicts itself.
Result<std::optional<CataloguedCorpus>> load_catalogued(const Store& store);
/// Its documents, in its order; none if there is no corpus.
Result<std::vector<Document>> load_documents(const Store& store);

/// Writes the corpus in pieces (corpus.hpp), its catalogue with the last one, so that both become the store's together.
std::vector<WriteBatch> put_catalogued(const CataloguedCorpus& catalogued);
/// The same of documents, in this order. Errors of `make_corpus`.
Result<std::vector<WriteBatch>> put_documents(std::vector<Document> documents);
/// Of a corpus whose sections are the store's already.
WriteBatch put_catalogue(const CataloguedCorpus& catalogued);

/// What a change makes of a corpus. What comes in it is taken for a stranger's: errors of `check_document`, of policy::changed
/// and of `make_corpus`.
Result<CataloguedCorpus> changed_corpus(CataloguedCorpus before, policy::CorpusChange change);

}  // namespace troupe::storage
