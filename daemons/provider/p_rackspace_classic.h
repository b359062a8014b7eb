/* p_rackspace_classic - what the two files of Rackspace's classic cloud share.
 *
 * Used by p_rackspace_classic*.c alone. */
#ifndef SC_PROVIDER_P_RACKSPACE_CLASSIC_H
#define SC_PROVIDER_P_RACKSPACE_CLASSIC_H

#include "provider/p_openstack.h"

/* Unless the settings say another. */
#define RAX_CONTAINER "supercloud-images"
/* Objects of ours are RAX_PREFIX CLUSTER/TOKEN/NAME.vhd (and below it its
 * segments): the name is the tag. */
#define RAX_PREFIX "supercloud/"

/* -- p_rackspace_classic.c ------------------------------------------------- */
/* Is the file a VHD that Rackspace imports?  0, or -EINVAL with what is wrong.
 */
int rax_check_vhd(int fd, uint64_t size, struct sc_err *err) SC_MUST_CHECK;
const char *rax_container(const struct openstack *o);

/* -- p_rackspace_classic_store.c: Cloud Files -------------------------------
 */
struct rax_file {
    struct openstack *o;
    const char *region;
    int fd;
    uint64_t size;
    char *object;     /* Its name in the container. */
    uint64_t segment; /* Larger files are sent in pieces of so many bytes. */
};
/* The file is there, whole: what is there already is not sent again. */
int rax_store(struct rax_file *f, struct sc_err *err) SC_MUST_CHECK;
/* Removes the objects below 'prefix', and the container if that was all. */
int rax_unstore(struct openstack *o, const char *region, const char *prefix,
                struct sc_err *err) SC_MUST_CHECK;
/* Calls 'fn' for each object of ours. */
int rax_object_each(struct openstack *o, const char *region,
                    const char *cluster, provider_each_resource_fn *fn,
                    void *arg, struct sc_err *err) SC_MUST_CHECK;
int rax_object_delete(struct openstack *o, const char *region, const char *id,
                      struct sc_err *err) SC_MUST_CHECK;

/* -- p_rackspace_classic_image.c: the import
 * ----------------------------------- */
int rax_publish(struct provider *up, const struct provider_publish *q,
                struct provider_image *ret, struct sc_err *err);
/* Calls 'fn' for each image that an import of ours made and nobody tagged. */
int rax_untagged_each(struct openstack *o, const char *region,
                      const char *cluster, provider_each_resource_fn *fn,
                      void *arg, struct sc_err *err) SC_MUST_CHECK;

#endif
