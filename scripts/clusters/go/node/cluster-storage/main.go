// Makes a volume for each claim of a storage class: a folder of this node, as local-path does, and without a helper image.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v11/controller"
)

type folders struct {
	root string
	node string
}

func (f folders) Provision(_ context.Context, options controller.ProvisionOptions) (*v1.PersistentVolume, controller.ProvisioningState, error) {
	claim := options.PVC
	if options.SelectedNode == nil || options.SelectedNode.Name != f.node {
		return nil, controller.ProvisioningFinished, fmt.Errorf("this provisioner makes volumes on the node %s alone", f.node)
	}
	path := filepath.Join(f.root, fmt.Sprintf("%s_%s_%s", options.PVName, claim.Namespace, claim.Name))
	// A program of any user writes there, whatever the umask is.
	if err := os.MkdirAll(path, 0o777); err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	if err := os.Chmod(path, 0o777); err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	kind := v1.HostPathDirectory
	return &v1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: options.PVName},
		Spec: v1.PersistentVolumeSpec{
			PersistentVolumeReclaimPolicy: *options.StorageClass.ReclaimPolicy,
			AccessModes:                   claim.Spec.AccessModes,
			VolumeMode:                    claim.Spec.VolumeMode,
			Capacity:                      v1.ResourceList{v1.ResourceStorage: claim.Spec.Resources.Requests[v1.ResourceStorage]},
			PersistentVolumeSource:        v1.PersistentVolumeSource{HostPath: &v1.HostPathVolumeSource{Path: path, Type: &kind}},
			NodeAffinity: &v1.VolumeNodeAffinity{Required: &v1.NodeSelector{NodeSelectorTerms: []v1.NodeSelectorTerm{{
				MatchExpressions: []v1.NodeSelectorRequirement{{Key: v1.LabelHostname, Operator: v1.NodeSelectorOpIn, Values: []string{f.node}}},
			}}}},
		},
	}, controller.ProvisioningFinished, nil
}

func (f folders) Delete(_ context.Context, volume *v1.PersistentVolume) error {
	path := filepath.Clean(volume.Spec.HostPath.Path)
	if filepath.Dir(path) != filepath.Clean(f.root) {
		return fmt.Errorf("%s is no volume of %s", path, f.root)
	}
	return os.RemoveAll(path)
}

func main() {
	kubeconfig := flag.String("kubeconfig", "", "how the API server is reached")
	name := flag.String("provisioner", "rancher.io/local-path", "the provisioner of the storage classes that are served")
	root := flag.String("root", "", "the folder that holds the volumes")
	node := flag.String("node", "", "the name of this node")
	flag.Parse()
	if *kubeconfig == "" || *root == "" || *node == "" {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	configuration, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err == nil {
		err = os.MkdirAll(*root, 0o755)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "cluster-storage:", err)
		os.Exit(1)
	}
	clients := kubernetes.NewForConfigOrDie(configuration)
	controller.NewProvisionController(ctx, clients, *name, folders{*root, *node}, controller.LeaderElection(false)).Run(ctx)
}
