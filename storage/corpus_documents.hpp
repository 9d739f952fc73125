// A stored corpus as the documents that it is made of, so that one of them can be replaced and the others are not read again.
#pragma once

#include <vector>

#include "base/result.hpp"
#include "storage/corpus.hpp"
#include "storage/documents.hpp"
#include "storage/store.hpp"

namespace troupe::storage {

/// The documents of the store's corpus, in its order; none if there is no corpus. A corpus that was stored without its
/// catalogue has documents without content hashes, which are like no file's. `corrupt` if what is there contradicts itself.
Result<std::vector<Document>> load_documents(const Store& store);

/// Writes these as the store's corpus, in this order, in pieces (corpus.hpp), and then their catalogue. Errors of
/// `make_corpus`.
Result<std::vector<WriteBatch>> put_documents(const std::vector<Document>& documents);

}  // namespace troupe::storage
